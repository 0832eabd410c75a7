#!/usr/bin/env bash
# Installs the programs named, by apt as root (or by sudo without a password);
# where that can't be, says what to install and fails.
#   usage: scripts/install.sh ffmpeg cc npm chromium python3
set -euo pipefail

# Whether a program is there; a browser and Python's venv go by several names.
is_there() {
    case "$1" in
        chromium) [ -n "${CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome-stable google-chrome >/dev/null ;;
        python3) python3 -c 'import venv, ensurepip' 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

declare -A package=([cc]=gcc [python3]=python3-venv)

missing=()
for program in "$@"; do
    is_there "$program" || missing+=("${package[$program]:-$program}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        missing_by_hand=1
    fi
fi
command -v apt-get >/dev/null || missing_by_hand=1
# What apt calls Chromium in Ubuntu is a snap, which sees no temporary folders.
if [[ " ${missing[*]} " == *" chromium "* ]] && grep -qs '^ID=ubuntu' /etc/os-release; then
    missing=("${missing[@]/#chromium/google-chrome-stable}")
    missing_by_hand=1
    why="from https://www.google.com/chrome, or name a browser in CHROMIUM"
fi
if [ -n "${missing_by_hand:-}" ]; then
    echo "please install: ${missing[*]}   (${why:-apt-get install ${missing[*]}})" >&2
    exit 2
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
