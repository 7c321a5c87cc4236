#!/usr/bin/env bash
# Sets up a development environment on Debian 12 or newer: system packages (where apt may be used),
# the virtual environment .venv, and the project itself, built and installed in place.
# Runs again at almost no cost: nothing is done that was done for the same sources.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(
    cmake
    fuse3
    g++
    git
    git-lfs
    libfuse3-dev
    libxxhash-dev
    libzstd-dev
    make
    pkg-config
    python3
    python3-dev
    python3-venv
    rsync
    vim-tiny
)
VENV=.venv
STAMP=$VENV/.mlbfs-setup

say() { printf '%s\n' "$*" >&2; }

missing_packages() {
    command -v dpkg-query >/dev/null || return 0
    local package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            printf '%s\n' "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
        say "installing system packages: ${missing[*]}"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
    else
        say "these system packages are missing and apt may not be used here: ${missing[*]}"
        say "install them with: sudo apt-get install ${missing[*]}"
    fi
}

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer with venv is needed (apt-get install python3 python3-venv)"
    exit 1
}

# What an installation depends on: a change of any of it installs and builds again.
fingerprint() {
    { find native/src native/CMakeLists.txt -type f -print0 | sort -z | xargs -0 -r cat; cat pyproject.toml scripts/setup.sh; } |
        sha256sum | cut -d' ' -f1
}

install_project() {
    local wanted
    wanted=$(fingerprint)
    if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$wanted" ]; then
        return
    fi
    [ -x "$VENV/bin/python" ] || "$(find_python)" -m venv "$VENV"
    say "building and installing mlbfs into $VENV (the first time takes some minutes)"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test,demo]'
    printf '%s\n' "$wanted" >"$STAMP"
}

# Start-up is part of how fast a mount is, and an installation in place compiles nothing by itself.
compile_modules() {
    "$VENV/bin/python" -m compileall -q mlbfs
}

install_packages
install_project
compile_modules
