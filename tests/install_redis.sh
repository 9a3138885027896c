#!/bin/sh
# Prints the path of a Redis server for the tests, after installing one if there is none.
#
#   1. valkey-server or redis-server from PATH, or what an earlier run left in .tools/redis;
#   2. on Debian as root: apt-get install;
#   3. on Debian otherwise: the packages are downloaded and unpacked into .tools/redis, nothing is installed.
#
# INSTALL_REDIS=unpack goes straight to the third way.
set -eu

tools="$(cd "$(dirname "$0")/.." && pwd)/.tools/redis"
packages="redis-server redis-tools liblzf1 libjemalloc2"

fail() {
    echo "The tests need a real Redis: install redis-server or valkey-server (7.0 or later) and put it on PATH. $1" >&2
    exit 1
}

found() {
    for server in valkey-server redis-server; do
        if command -v "$server"; then
            return 0
        fi
    done
    if [ -x "$tools/redis-server" ]; then
        echo "$tools/redis-server"
        return 0
    fi
    return 1
}

# Package lists may be missing or old: they are fetched only when the first try fails.
with_lists() {
    "$@" >&2 || { apt-get update >&2 && "$@" >&2; }
}

install_package() {
    # RUNLEVEL=1 and the line after it keep the distribution's own service from running beside the tests.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 with_lists apt-get install -y --no-install-recommends redis-server
    if [ -d /run/systemd/system ]; then
        systemctl disable --now redis-server.service >&2
    fi
}

unpack_packages() {
    mkdir -p "$tools/packages"
    # apt's own sandbox user cannot write here, and says so: the download itself is fine.
    # shellcheck disable=SC2086
    (cd "$tools/packages" && with_lists apt-get download $packages)
    for package in "$tools"/packages/*.deb; do
        dpkg-deb -x "$package" "$tools/root"
    done
    rm -r "$tools/packages"
    libraries="$(dirname "$(find "$tools/root/usr/lib" -name 'liblzf.so*' | head -n 1)")"
    cat >"$tools/redis-server" <<END
#!/bin/sh
LD_LIBRARY_PATH="$libraries" exec "$tools/root/usr/bin/redis-server" "\$@"
END
    chmod +x "$tools/redis-server"
}

if [ "${INSTALL_REDIS:-}" != unpack ] && found; then
    exit 0
fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "This is no Debian, where it would be done for you."
if [ "$(id -u)" = 0 ] && [ "${INSTALL_REDIS:-}" != unpack ]; then
    install_package || fail "apt-get install redis-server failed, see above."
else
    unpack_packages || fail "Its Debian packages could not be downloaded, see above."
fi
found || fail "It was installed, but cannot be found."
