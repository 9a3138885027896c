#!/usr/bin/env bash
# Prints the directory that holds prometheus, promtool, alertmanager and amtool, after fetching them if they are missing.
#
#   1. what PATH has, or what an earlier run left in .tools/prometheus;
#   2. on Debian: the packages are downloaded and unpacked into .tools/prometheus. Nothing is installed, so that no service
#      is started. Root is needed once, for the templates that Debian's Alertmanager reads at a fixed place.
set -euo pipefail

tools="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.tools/prometheus"
packages=(prometheus prometheus-alertmanager)

fail() {
  echo "error: Prometheus and Alertmanager are needed: put prometheus, promtool, alertmanager and amtool on PATH. $1" >&2
  exit 1
}

# Debian calls one of them by another name.
find_program() {
  case "$1" in
    alertmanager) command -v alertmanager || command -v prometheus-alertmanager ;;
    *) command -v "$1" ;;
  esac
}

link_all() {
  local name program
  for name in prometheus promtool alertmanager amtool; do
    program=$(find_program "$name") || return 1
    # What was linked by an earlier run is found first, and stays.
    [ "$program" = "$tools/bin/$name" ] || ln -sf "$program" "$tools/bin/$name"
  done
}

# Package lists may be missing or old: they are fetched only when the first try fails.
with_lists() {
  "$@" >&2 || { apt-get update >&2 && "$@" >&2; }
}

unpack() {
  local package
  rm -rf "$tools/packages" "$tools/root"
  mkdir -p "$tools/packages"
  (cd "$tools/packages" && with_lists apt-get download -q "${packages[@]}") || fail "Their packages could not be downloaded."
  for package in "$tools"/packages/*.deb; do
    dpkg-deb -x "$package" "$tools/root"
  done
  rm -r "$tools/packages"
}

# Debian's Alertmanager does not start without these, wherever it is started from.
templates=/usr/share/prometheus/alertmanager
bring_templates() {
  local unpacked=$tools/root$templates
  [ -d "$unpacked" ] && [ ! -e "$templates/default.tmpl" ] || return 0
  install -D -m 644 -t "$templates" "$unpacked"/*.tmpl 2>/dev/null ||
    fail "What was unpacked needs its templates where only root may put them: as root, install -D -t $templates $unpacked/*.tmpl"
}

mkdir -p "$tools/bin"
if ! PATH="$tools/bin:$tools/root/usr/bin:$PATH" link_all; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    fail "This is no Debian, where it would be done for you."
  fi
  unpack
  PATH="$tools/root/usr/bin:$PATH" link_all || fail "They were unpacked, but cannot be found."
fi
bring_templates
echo "$tools/bin"
