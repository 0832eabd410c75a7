#!/usr/bin/env bash
# Installs the programs named, by apt as root (or by sudo without a password);
# where that can't be, says what to install and fails.
#   usage: scripts/install.sh ffmpeg cc npm chromium
set -euo pipefail

declare -A package=([ffmpeg]=ffmpeg [ffprobe]=ffmpeg [cc]=gcc [npm]=npm [chromium]=chromium)

missing=()
for program in "$@"; do
    command -v "$program" >/dev/null || missing+=("${package[$program]:-$program}")
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
if [ -n "${missing_by_hand:-}" ]; then
    echo "please install: ${missing[*]}   (apt-get install ${missing[*]})" >&2
    exit 2
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
