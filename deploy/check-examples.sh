#!/usr/bin/env bash
# Runs the examples in deploy/examples: Python, Node and C# (with Mono) ask a real gateway whose store is then broken, and
# check its passes, as Java does. Godot 4 is in no package of Debian 12, so the GDScript is parsed and linted; where `godot`
# is there, its check of passes is run. The tests of a made-up studio in deploy/examples/ci are run with Python and Node, each
# with a gateway of its own.
#
#   deploy/check-examples.sh                 all of them
#   deploy/check-examples.sh python node     only these
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

languages=("$@")
[ $# -gt 0 ] || languages=(gdscript python node java csharp)
make --silent setup-dev

run=()
for language in "${languages[@]}"; do
  case $language in
    gdscript)
      say "parse the GDScript"
      gdtoolkit=$(python_tool gdtoolkit)
      "$gdtoolkit/gdparse" deploy/examples/*/*.gd tests/deploy/pass_clients/*.gd
      "$gdtoolkit/gdlint" deploy/examples/*/*.gd
      if ! command -v godot >/dev/null; then
        say "there is no Godot, so that the GDScript is not run"
        continue
      fi
      ;;
    python) ;;
    node) need node -- nodejs ;;
    java) need java javac -- openjdk-17-jdk-headless ;;
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
.venv/bin/pytest --quiet tests/deploy/test_examples.py tests/deploy/test_ci_examples.py tests/deploy/test_pass_examples.py -k "${words# or }"
