#!/usr/bin/env bash
# A Docker engine of one's own, for a Debian machine that has none (a CI machine, as root):
#
#   compose/engine.sh start FOLDER     installs what is missing, starts dockerd, prints its DOCKER_HOST
#   compose/engine.sh stop FOLDER      ends that dockerd by its pid and removes what it stored
#
# Everything of it lies in FOLDER: socket, images, containers, pid and log. Its containers are on a bridge and a subnet
# of their own: those of an engine that was killed stay on its bridge and go on answering for their addresses.
# More options for dockerd: SORTLINE_DOCKERD_OPTIONS. Also installed: debootstrap and Maven, which build the images
# where they cannot be pulled.
set -euo pipefail

say() { echo "engine: $*" >&2; }

install_missing() {
    local packages=()
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v debootstrap >/dev/null || packages+=(debootstrap)
    command -v iptables >/dev/null || packages+=(iptables)
    command -v ip >/dev/null || packages+=(iproute2)
    command -v mvn >/dev/null || packages+=(maven)
    if [ "${#packages[@]}" -eq 0 ] && command -v docker >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "installing ${packages[*]} needs root on Debian"
        return 1
    fi
    say "installing ${packages[*]:-the docker command} by apt"
    apt-get update -qq >/dev/null || say "apt-get update had problems; going on with the lists that are here"
    # Newer releases have the command in a package of its own.
    if ! command -v docker >/dev/null && [ -n "$(apt-cache search --names-only '^docker-cli$')" ]; then
        packages+=(docker-cli)
    fi
    dpkg --configure -a >/dev/null 2>&1 || true  # an installation that was killed stops all later ones
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 \
        "${packages[@]}" >/dev/null
}

# Creates a bridge with a subnet that nothing on this machine has, and prints its name.
add_bridge() {
    local taken number
    taken=$(ip -4 route show; ip -4 -oneline address show)
    for number in {1..254}; do
        if ! grep -qE "(^| )10\.213\.$number\." <<<"$taken" && ip link add "sortline-$number" type bridge; then
            ip address add "10.213.$number.1/24" dev "sortline-$number"
            ip link set "sortline-$number" up
            echo "sortline-$number"
            return
        fi
    done
    say "no subnet of 10.213.0.0/16 is free: remove the bridges of engines that were killed (ip link delete)"
    return 1
}

start() {
    local folder=$1 pid bridge
    if [ "$(id -u)" -ne 0 ]; then
        say "starting dockerd needs root"
        return 1
    fi
    mkdir -p "$folder"
    install_missing
    if timeout 10 docker version >/dev/null 2>&1; then
        say "the engine that came with the package answers"
        docker context inspect --format '{{.Endpoints.docker.Host}}'
        return
    fi
    cat /proc/sys/net/ipv4/ip_forward >"$folder/ip_forward"
    bridge=$(add_bridge) || return 1
    echo "$bridge" >"$folder/bridge"
    # shellcheck disable=SC2086 # the variable holds several options
    setsid dockerd --host "unix://$folder/docker.sock" --data-root "$folder/data" --exec-root "$folder/exec" \
        --bridge "$bridge" --pidfile "$folder/dockerd.pid" ${SORTLINE_DOCKERD_OPTIONS:-} \
        >"$folder/dockerd.log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 150); do
        if DOCKER_HOST="unix://$folder/docker.sock" docker version >/dev/null 2>&1; then
            say "dockerd answers (pid $(cat "$folder/dockerd.pid"), log $folder/dockerd.log)"
            echo "unix://$folder/docker.sock"
            return
        fi
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.2
    done
    say "dockerd does not start: $(tail -1 "$folder/dockerd.log")"
    stop "$folder"
    return 1
}

stop() {
    local folder=$1 pid
    pid=$(cat "$folder/dockerd.pid" 2>/dev/null || true)
    # The pid of a file may by now be a stranger's: only a dockerd of this folder gets the signal.
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- "--data-root $folder/data"; then
        kill "$pid"
        for _ in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
    fi
    # What dockerd leaves behind on the machine.
    if [ -e "$folder/ip_forward" ]; then cat "$folder/ip_forward" >/proc/sys/net/ipv4/ip_forward || true; fi
    if [ -e "$folder/bridge" ]; then ip link delete "$(cat "$folder/bridge")" 2>/dev/null || true; fi
    rm -rf "$folder"
}

case "${1:-} ${2:+folder}" in
    "start folder") start "$2" ;;
    "stop folder") stop "$2" ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
