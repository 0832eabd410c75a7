#!/usr/bin/env bash
# Installs the programs named, by apt as root (or by sudo without a password);
# where that can't be, says all that is to be installed and fails. A name with
# a question mark is of use but not needed: without it there is a warning.
#   usage: scripts/install.sh ffmpeg cc npm? chromium python3
set -euo pipefail
cd "$(dirname "$0")/.."

# What apt has of Rust is mostly too old, and says so in riddles.
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version 2>/dev/null | cut -d' ' -f2) || found=none
if [ "$found" = none ] || ! printf '%s\n%s\n' "$rust" "$found" | sort -CV; then
    echo "Rust $rust or newer is needed (found: $found); install it from https://rustup.rs" >&2
    exit 2
fi

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

needed=()
useful=()
# What is not apt's to install, in words.
elsewhere=()
for program in "$@"; do
    name=${program%\?}
    is_there "$name" && continue
    if [ "$name" = chromium ] && grep -qs '^ID=ubuntu' /etc/os-release; then
        # What apt has in Ubuntu is a snap, which sees no temporary folders.
        elsewhere+=("a browser: Google Chrome as a .deb, or any Chromium named in CHROMIUM")
        continue
    fi
    # A word each.
    # shellcheck disable=SC2206
    case "$program" in
        *\?) useful+=(${package[$name]:-$name}) ;;
        *) needed+=(${package[$name]:-$name}) ;;
    esac
done
missing=("${needed[@]}" "${useful[@]}")

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        only_root=1
    fi
fi
command -v apt-get >/dev/null || only_root=1

apt() {
    # Set here, as sudo lets no environment through.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get -qq "$@" >/dev/null
}

if [ ${#missing[@]} -gt 0 ] && [ -n "${only_root:-}" ]; then
    if [ ${#needed[@]} -eq 0 ]; then
        echo "going on without: ${useful[*]}   (sudo apt-get install ${useful[*]})" >&2
    else
        elsewhere=("sudo apt-get install ${missing[*]}" "${elsewhere[@]}")
    fi
elif [ ${#missing[@]} -gt 0 ]; then
    echo "installing by apt, which can take minutes:"
    apt update || echo "the lists of packages could not be renewed" >&2
    # One by one: a package that can't be had keeps no other out.
    for name in "${missing[@]}"; do
        echo "  $name"
        apt install -y --no-install-recommends "$name" && continue
        case " ${needed[*]} " in
            *" $name "*) elsewhere+=("$name") ;;
            *) echo "going on without $name" >&2 ;;
        esac
    done
fi

if [ ${#elsewhere[@]} -gt 0 ]; then
    {
        echo "missing on this machine; please install:"
        printf '    %s\n' "${elsewhere[@]}"
        echo "and run the same again"
    } >&2
    exit 2
fi
