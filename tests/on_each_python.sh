#!/usr/bin/env bash
# Runs what may depend on the Python (all but the tests that are marked `once`) on each supported Python that this machine
# has, beside the one that `make test` uses: at the same time, for they wait more than they work. Looks for them on PATH and
# where pyenv keeps them; says which it found.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.tools/uv/bin/uv
tests/install_redis.sh
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

find_python() {
  local python
  python=$(command -v "python$1" || true)
  # What pyenv has put on PATH may be a shim that only says that another version is in use.
  "${python:-false}" --version >/dev/null 2>&1 || python=$(
    find "${HOME:-}/.pyenv/versions" -path "*/$1.*/bin/python" 2>/dev/null | sort -V | tail -n 1
  ) || true
  echo "$python"
}

test_on() {
  export UV_PROJECT_ENVIRONMENT=".tools/venv-$1"
  "$uv" sync --quiet --locked --python "$2"
  "$uv" run --no-sync tests/twice.sh -q -o "cache_dir=.tools/pytest-$1" -m "not once"
}

default=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
declare -A running=()
for version in 3.11 3.12 3.13 3.14; do
  [ "$version" = "$default" ] && continue
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    echo "python $version: not on this machine"
    continue
  fi
  echo "python $version: $("$python" --version)"
  test_on "$version" "$python" >"$reports/$version" 2>&1 &
  running[$version]=$!
done

failed=0
for version in "${!running[@]}"; do
  wait "${running[$version]}" || failed=1
  echo "python $version:"
  cat "$reports/$version"
done
exit "$failed"
