#!/usr/bin/env bash
# Prints the path of an nginx that has Lua, cjson and a Redis client for Lua, as one command. The last line of what it
# complains is why there is none.
#
#   1. what this machine has, or what an earlier run left in .tools/nginx;
#   2. on Debian: the packages are downloaded and unpacked into .tools/nginx.
#
# Nothing is installed, not even as root. Debian's nginx starts a service, its Lua takes the place of the LuaJIT that
# wrk runs on, and its Redis client comes with all of nginx-extras.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="$PWD/.tools/nginx"
command="$tools/nginx-with-lua"

fail() {
  echo "$1; on Debian it needs nginx, libnginx-mod-http-lua, lua-cjson and lua-nginx-redis" >&2
  exit 1
}

# What was unpacked goes before what the machine has.
write_command() {
  local binary="" modules="" libraries="" paths="" name folder
  for name in "$tools/root/usr/sbin/nginx" openresty nginx /usr/sbin/nginx; do
    binary="$(command -v "$name")" && break
  done
  [ -n "$binary" ] || return 1
  for name in ndk_http_module ngx_http_lua_module; do
    for folder in "$tools/root/usr/lib/nginx/modules" /usr/lib/nginx/modules /usr/lib64/nginx/modules; do
      if [ -e "$folder/$name.so" ]; then
        modules+="load_module '$folder/$name.so'; "
        break
      fi
    done
  done
  for folder in "$tools"/root/{usr/,}lib/*-linux-*; do
    [ -d "$folder" ] || continue
    libraries+="${libraries:+:}$folder"
    paths+="$folder/lua/5.1/?.so;"
  done
  mkdir -p "$tools"
  cat >"$command" <<END
#!/bin/sh
export LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export LUA_PATH="$tools/root/usr/share/lua/5.1/?.lua;;"
export LUA_CPATH="$paths;"
exec "$binary" -e stderr -g "$modules" "\$@"
END
  chmod +x "$command"
}

# Really starts it: a mere test of the configuration does not run the Lua code.
works() {
  local prefix
  prefix="$(mktemp -d)"
  cat >"$prefix/nginx.conf" <<'END'
daemon off;
master_process off;
pid nginx.pid;
error_log stderr emerg;
events {}
http {
  access_log off;
  init_by_lua_block {
    local have = function(name) return (pcall(require, name)) end
    os.exit(have "cjson.safe" and (have "resty.redis" or have "nginx.redis") and 0 or 1)
  }
}
END
  local status=0
  timeout 10 "$command" -p "$prefix" -c "$prefix/nginx.conf" || status=$?
  rm -r "$prefix"
  return "$status"
}

# Package lists may be missing or old: they are fetched only when the first try fails.
with_lists() {
  "$@" || { apt-get update -qq >&2 && "$@"; }
}

# What would be installed for these, without installing it. The Redis client is taken alone: it is one file.
missing_packages() {
  LC_ALL=C apt-get -qq --simulate --no-install-recommends install nginx libnginx-mod-http-lua lua-cjson |
    sed -n 's/^Inst \([^ ]*\).*/\1/p' || return 1
  echo lua-nginx-redis
}

unpack_packages() {
  local packages package
  packages="$(with_lists missing_packages)" || return 1
  rm -rf "$tools"
  mkdir -p "$tools/packages"
  # apt's own sandbox user cannot write here, and says so: the download itself is fine.
  # shellcheck disable=SC2086
  (cd "$tools/packages" && with_lists apt-get -qq download $packages) || return 1
  for package in "$tools"/packages/*.deb; do
    dpkg-deb -x "$package" "$tools/root" || return 1
  done
  rm -r "$tools/packages"
}

ready() {
  write_command && works
}

if ! ready 2>/dev/null; then
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "this machine has no nginx with Lua"
  unpack_packages >&2 || fail "nginx with Lua could not be downloaded"
  ready || fail "nginx with Lua was downloaded, but does not run"
fi
echo "$command"
