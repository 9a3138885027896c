#!/usr/bin/env bash
# Runs every test on each supported Python that this machine has, beside the one that `make test` uses.
# Looks for them on PATH and where pyenv keeps them; says which it found.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.tools/uv/bin/uv
tests/install_redis.sh

default=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
for version in 3.11 3.12 3.13; do
  [ "$version" = "$default" ] && continue
  python=$(command -v "python$version" || true)
  "${python:-false}" --version >/dev/null 2>&1 || python=$(ls -d "$HOME"/.pyenv/versions/"$version".*/bin/python 2>/dev/null | tail -n 1 || true)
  if [ -z "$python" ]; then
    echo "python $version: not on this machine"
    continue
  fi
  echo "python $version: $python"
  export UV_PROJECT_ENVIRONMENT=".tools/venv-$version"
  "$uv" sync --quiet --locked --python "$python"
  "$uv" run --no-sync pytest -q
done
