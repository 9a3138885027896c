#!/usr/bin/env bash
# Runs the examples in deploy/examples: Python, Node and C# (with Mono) ask a real gateway whose store is then broken. Godot 4
# is in no package of Debian's, so the GDScript is only parsed and linted, and was not run. The tests of a made-up studio in
# deploy/examples/ci are run with Python and Node, each with a gateway of its own.
#
#   deploy/check-examples.sh                 all of them
#   deploy/check-examples.sh python node     only these
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

languages=("$@")
[ $# -gt 0 ] || languages=(gdscript python node csharp)
make --silent setup-dev

run=()
for language in "${languages[@]}"; do
  case $language in
    gdscript)
      say "parse the GDScript"
      gdtoolkit=$(python_tool gdtoolkit)
      "$gdtoolkit/gdparse" deploy/examples/gdscript/*.gd
      "$gdtoolkit/gdlint" deploy/examples/gdscript/*.gd
      continue
      ;;
    python) ;;
    node) need node -- nodejs ;;
    csharp) need mcs mono cert-sync -- mono-mcs mono-runtime libmono-system-net-http4.0-cil libmono-system-runtime-serialization4.0-cil ca-certificates-mono ;;
    *)
      echo "error: there is no example in $language" >&2
      exit 2
      ;;
  esac
  run+=("$language")
done
[ ${#run[@]} -gt 0 ] || exit 0

say "run ${run[*]}"
# By language, so that none is left out unsaid: what the script has just seen to is there.
words=$(printf ' or %s' "${run[@]}")
.venv/bin/pytest --quiet tests/deploy/test_examples.py tests/deploy/test_ci_examples.py -k "${words# or }"
