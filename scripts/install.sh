#!/usr/bin/env bash
# Installs the programs named, by apt as root (or by sudo without a password);
# where that can't be, says what to install and fails.
#   usage: scripts/install.sh ffmpeg cc npm chromium python3
set -euo pipefail

# Whether a program is there; a browser and Python's venv go by several names.
is_there() {
    case "$1" in
        chromium) [ -n "${CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome-stable google-chrome >/dev/null ;;
        podman) command -v podman runc mmdebstrap iptables >/dev/null && [ -x /usr/lib/podman/netavark ] ;;
        python3) python3 -c 'import venv, ensurepip' 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# A C compiler is no use without the headers, which it only recommends.
declare -A package=([cc]="gcc libc6-dev" [python3]=python3-venv
    [podman]="podman buildah runc netavark aardvark-dns catatonit iptables mmdebstrap")

missing=()
for program in "$@"; do
    # A word each.
    # shellcheck disable=SC2206
    is_there "$program" || missing+=(${package[$program]:-$program})
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        by_hand=1
    fi
fi
command -v apt-get >/dev/null || by_hand=1
if [ -n "${by_hand:-}" ]; then
    echo "please install: ${missing[*]}   (apt-get install ${missing[*]})" >&2
    exit 2
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq || echo "the lists of packages could not be renewed" >&2
# One by one: a package that can't be had keeps no other out.
failed=()
for name in "${missing[@]}"; do
    # What apt calls Chromium in Ubuntu is a snap, which sees no temporary folders.
    if [ "$name" = chromium ] && grep -qs '^ID=ubuntu' /etc/os-release; then
        failed+=("a browser (Google Chrome as a .deb, or any Chromium named in CHROMIUM)")
        continue
    fi
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$name" >/dev/null || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
    printf 'please install by hand: %s\n' "${failed[@]}" >&2
    exit 2
fi
