#!/bin/sh
# Prints the path of libfaketime, by which a process's clock is wrong, after fetching it if it is not there.
#
#   1. what the Debian package libfaketime has installed, or an earlier run left in .tools/faketime;
#   2. on Debian: the package is downloaded and unpacked into .tools/faketime, nothing is installed.
set -eu

tools="$(cd "$(dirname "$0")/.." && pwd)/.tools/faketime"

fail() {
    echo "The tests need libfaketime: install it, on Debian as libfaketime. $1" >&2
    exit 1
}

found() {
    found="$(find /usr/lib "$tools" -name libfaketime.so.1 2>/dev/null | head -n 1)"
    [ -n "$found" ] && echo "$found"
}

# Package lists may be missing or old: they are fetched only when the first try fails.
with_lists() {
    "$@" >&2 || { apt-get update >&2 && "$@" >&2; }
}

! found || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "This is no Debian, where it would be fetched for you."
mkdir -p "$tools"
# apt's own sandbox user cannot write here, and says so: the download itself is fine.
(cd "$tools" && with_lists apt-get download libfaketime) || fail "Its package could not be downloaded, see above."
dpkg-deb -x "$tools"/libfaketime_*.deb "$tools"
found || fail "It was unpacked, but cannot be found."
