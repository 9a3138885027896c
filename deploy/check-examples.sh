#!/usr/bin/env bash
# Runs the examples in deploy/examples: Python, Node and C# (with Mono) ask a real gateway whose store is then broken. Godot 4
# is in no package of Debian's, so the GDScript is only parsed and linted, and was not run.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

need node -- nodejs
need mcs mono -- mono-mcs mono-runtime libmono-system-net-http4.0-cil libmono-system-runtime-serialization4.0-cil
make --silent setup-dev

say "parse the GDScript"
gdtoolkit=$(python_tool gdtoolkit)
"$gdtoolkit/gdparse" deploy/examples/gdscript/*.gd
"$gdtoolkit/gdlint" deploy/examples/gdscript/*.gd

say "run the others"
.venv/bin/pytest --quiet tests/deploy/test_examples.py
