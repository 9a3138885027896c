#!/usr/bin/env bash
# Builds sdist and wheel, looks what is in them, installs the wheel where nothing else is, and asks it a question.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

make --silent setup-dev
say "build the package and install it"
.venv/bin/pytest --quiet tests/deploy/test_package.py
