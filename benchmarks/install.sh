#!/usr/bin/env bash
# Installs what the benchmarks need beside the gateway itself: wrk, and the peer's libraries in an environment of their
# own. Prints the Python of that environment. Renew peer.txt with the command at its top.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v wrk >/dev/null || ! command -v taskset >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: the benchmarks need wrk and taskset (util-linux); on Debian: apt-get install wrk util-linux" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get install -y -qq --no-install-recommends wrk util-linux ||
      { apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk util-linux; }
  } >&2
fi

environment=.tools/bench-venv
stamp="$environment/installed"
if ! cmp -s benchmarks/peer.txt "$stamp"; then
  "${PYTHON:-python3}" -m venv --clear "$environment" >&2
  "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps \
    -r benchmarks/peer.txt >&2
  cp benchmarks/peer.txt "$stamp"
fi
echo "$PWD/$environment/bin/python"
