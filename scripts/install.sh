#!/usr/bin/env bash
# Installs what is missing to build, run or test Hansard on Debian and its relatives, and nothing that is there.
#
#   scripts/install.sh build|run|test      what that needs; asks nothing
#   scripts/install.sh --packages NAME…    only these packages (this is the one command that it prints when it may not)
#
# Servers that come with packages (postgresql, rabbitmq-server, pgbouncer, coturn) are neither started nor enabled: Hansard starts its own.
set -euo pipefail

# rust-version in Cargo.toml
rust_min=1.94

build=(build-essential pkg-config cmake nasm libclang-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
run=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav postgresql)
test=(gstreamer1.0-tools gstreamer1.0-plugins-bad gstreamer1.0-nice gir1.2-gst-plugins-bad-1.0 python3-gi openssl rabbitmq-server pgbouncer coturn ffmpeg curl chromium firefox-esr)

say() { printf '%s\n' "$*" >&2; }

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# As root.
install_packages() {
    local policy=/usr/sbin/policy-rc.d before='' servers=() package
    # Those that bring servers and are new here.
    for package in postgresql rabbitmq-server pgbouncer coturn; do
        case " $* " in *" $package "*) installed "$package" || servers+=("$package") ;; esac
    done
    # Debian asks this program whether a server may start; 101 means no. What was there comes back, whatever happens.
    if [ -e "$policy" ] || [ -L "$policy" ]; then
        before=$(mktemp -u "$policy.XXXXXX")
        mv "$policy" "$before"
    fi
    # shellcheck disable=SC2064
    trap "rm -f '$policy'; [ -z '$before' ] || mv '$before' '$policy'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"

    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
    "${apt[@]}" update
    "${apt[@]}" install -y --no-install-recommends "$@"
    # Nor at the next boot, unless somebody had them before.
    if [ "${#servers[@]}" -gt 0 ] && command -v systemctl >/dev/null; then
        systemctl disable "${servers[@]}" >/dev/null 2>&1 || true
        case " ${servers[*]} " in *' rabbitmq-server '*) systemctl disable epmd.socket epmd.service >/dev/null 2>&1 || true ;; esac
    fi
}

if [ "${1-}" = --packages ]; then
    shift
    [ "$#" -gt 0 ] || { say 'name the packages'; exit 2; }
    [ "$(id -u)" = 0 ] || { say 'this needs root'; exit 2; }
    install_packages "$@" >&2
    exit
fi

case "${1-}" in
    build) wanted=("${build[@]}") ;;
    run) wanted=("${build[@]}" "${run[@]}") ;;
    test) wanted=("${build[@]}" "${run[@]}" "${test[@]}") ;;
    *) say 'usage: scripts/install.sh build|run|test'; exit 2 ;;
esac

# cargo, if it is there and new enough.
cargo_is_enough() {
    local version
    version=$(cd "$(dirname "$0")/.." && cargo --version 2>/dev/null | awk '{ print $2 }') || return 1
    [ -n "$version" ] && [ "$(printf '%s\n' "$rust_min" "$version" | sort -V | head -n 1)" = "$rust_min" ]
}

# The tests generate clients: what runs the generators may be there from elsewhere than Debian.
if [ "$1" = test ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3 python3-venv)
    { command -v node && command -v npm; } >/dev/null || wanted+=(nodejs npm)
fi

PATH=$HOME/.cargo/bin:$PATH
rust=there
cargo_is_enough || rust=missing
if [ "$rust" = missing ] && ! command -v curl >/dev/null; then
    wanted+=(curl ca-certificates)
fi

missing=()
if command -v dpkg-query >/dev/null; then
    for package in "${wanted[@]}"; do
        installed "$package" || missing+=("$package")
    done
elif ! pkg-config --exists gstreamer-1.0 gstreamer-app-1.0 2>/dev/null; then
    say 'This script knows Debian and its relatives. Elsewhere install what these Debian packages hold:'
    say "  ${wanted[*]}"
    exit 1
fi

if [ "${#missing[@]}" -gt 0 ]; then
    say "Installing: ${missing[*]}"
    self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
    if [ "$(id -u)" = 0 ]; then
        "$self" --packages "${missing[@]}"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$self" --packages "${missing[@]}"
    else
        say ''
        say 'That needs root, and sudo would ask for a password. Run this one command, then try again:'
        say "  sudo $self --packages ${missing[*]}"
        exit 1
    fi
fi

if [ "$rust" = missing ]; then
    if command -v rustup >/dev/null; then
        say "Rust $rust_min or later is needed; bringing rustup's stable toolchain up to date"
        rustup toolchain install stable --profile minimal --component rustfmt --component clippy >&2
        # For this directory only: the default is yours.
        rustup override set stable --path "$(cd "$(dirname "$0")/.." && pwd)" >&2
    else
        say "Rust $rust_min or later is needed; installing it with rustup's official installer"
        installer=$(mktemp)
        trap 'rm -f "$installer"' EXIT
        if ! curl --proto '=https' --tlsv1.2 -sSf --retry 3 https://sh.rustup.rs -o "$installer"; then
            say "That did not work. Install Rust $rust_min or later yourself (https://rustup.rs), then try again."
            exit 1
        fi
        sh "$installer" -y --no-modify-path --profile minimal --component rustfmt --component clippy >&2
    fi
    hash -r
    cd "$(dirname "$0")/.."
    if ! cargo_is_enough; then
        say "cargo is still older than $rust_min: see \`rustup show\` and \`command -v cargo\`"
        exit 1
    fi
fi
