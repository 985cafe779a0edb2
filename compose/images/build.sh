#!/bin/bash
# Build an image from a folder beside this file without pulling anything: the base from this machine's Debian mirror, and
# what the caller puts beside the Dockerfile. compose/recipes.py calls it when a pull fails:
#
#   build.sh IMAGE RECIPE [NAME=FILE_OR_FOLDER ...]      build.sh sortline/kafka:4.3.1 kafka kafka=JARS java-runtime=JAVA
#   build.sh IMAGE base                                  a plain Debian as IMAGE
#
# Needs root and debootstrap, and leaves a base image `sortline/base:trixie` for the next time.
set -euo pipefail
image=$1 recipe=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
base=sortline/base:trixie

# Without the buildx plugin only the older builder is there, and newer clients have to be told so.
if ! docker buildx version >/dev/null 2>&1; then export DOCKER_BUILDKIT=0; fi

debian_mirror() {
    # What apt itself uses here: the first archive of this very release, whatever form its source files have.
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # awk reads to the end: leaving early would end apt-get by a broken pipe.
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
        awk -v codename="$codename" '$1 == codename && $2 == "main" && !found { print $3; found = 1 }'
}

build_base() {
    local mirror root
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        echo "no Debian mirror found in this machine's apt sources: the base image can only be built on Debian" >&2
        return 1
    fi
    echo "base image: Debian trixie by debootstrap"
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$root'" EXIT
    if ! debootstrap --variant=minbase trixie "$root" "$mirror" >"$root.log" 2>&1; then
        tail -5 "$root.log" >&2
        return 1
    fi
    rm -f "$root.log"
    tar -C "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -c . | docker import - "$base" >/dev/null
    rm -rf "$root"
}

build() {
    local context log addition
    echo "image $image"
    context=$(mktemp -d) log=$(mktemp)
    # shellcheck disable=SC2064 # the names of now
    trap "rm -rf '$context' '$log'" EXIT
    cp -r "$here/$recipe/." "$context"
    for addition; do ln -s "$(realpath "${addition#*=}")" "$context/${addition%%=*}"; done
    # -h: what the links lead to.
    tar -ch -C "$context" . | docker build --build-arg "BASE=$base" --tag "$image" - >"$log" 2>&1 || { tail -5 "$log" >&2; return 1; }
}

docker image inspect "$base" >/dev/null 2>&1 || build_base
if [ "$recipe" = base ]; then docker tag "$base" "$image"; else build "$@"; fi
