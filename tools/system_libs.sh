#!/bin/sh
# Makes sure that the system's own libraries are there: installs what is missing as root, else says how to.
#
#   tools/system_libs.sh [venv] [window] [xvfb]
#
#   venv    what `$PYTHON -m venv` needs (default: python3)
#   window  what Qt and OpenGL need to open a window, and a font
#   xvfb    a virtual display
#
# macOS brings all of this along.
set -eu

[ "$(uname -s)" = Linux ] || exit 0

python=${PYTHON:-python3}
packages=""
missing=""

for need in "$@"; do
    case $need in
        venv)
            # Debian takes ensurepip out of the standard library and puts it into a package for each version.
            "$python" -c "import ensurepip, venv" 2>/dev/null ||
                missing="$missing $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" ;;
        window)
            packages="$packages libgl1-mesa-dri libegl1 libgl1 libopengl0 libxkbcommon-x11-0 libxcb-cursor0 \
                libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxcb-xinerama0 libxcb-shape0 \
                libxcb-randr0 libdbus-1-3 libfontconfig1 libglib2.0-0"
            # Any font will do; without one, every letter is an empty box.
            [ -n "$(find /usr/share/fonts /usr/local/share/fonts -name '*.[to]tf' -print 2>/dev/null | head -n 1)" ] ||
                missing="$missing fonts-dejavu-core" ;;
        xvfb) packages="$packages xvfb xauth" ;;
        *) echo "$0: unknown need '$need' (venv, window or xvfb)" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    # Not Debian: package names differ, so only what can be seen is checked.
    case " $* " in *" xvfb "*)
        command -v xvfb-run >/dev/null 2>&1 || {
            echo "xvfb-run is missing: install Xvfb and Mesa with the package manager of this system." >&2; exit 1; } ;;
    esac
    [ -z "$missing" ] || echo "Probably missing on this system:$missing (Debian's names)" >&2
    exit 0
fi

if [ -n "$packages" ]; then
    # Since the change to 64-bit time some names end in t64 (Debian 13, Ubuntu 24.04).
    names=""
    for package in $packages; do names="$names $package ${package}t64"; done
    # shellcheck disable=SC2086  # one word for each package
    present=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $names 2>/dev/null | sed -n 's/^.i  *//p' |
        sed 's/t64$//' | tr '\n' ' ')
    for package in $packages; do
        case " $present" in *" $package "*) ;; *) missing="$missing $package" ;; esac
    done
fi

[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing system packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -qq --yes --no-install-recommends $missing >/dev/null
else
    echo "System packages are missing; install them with: sudo apt-get install --yes --no-install-recommends$missing" >&2
    exit 1
fi
