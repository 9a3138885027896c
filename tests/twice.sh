#!/usr/bin/env bash
# Runs pytest with the arguments; what failed runs once more, one test after the other, and must pass then.
# Tests wait for a real Redis as long as the gateway does, 60 to 500 ms, and machines of CI do other work at the same time.
# What is wrong with the gateway fails twice; what failed once is in the report, and a fault of the test to mend.
set -euo pipefail
status=0
pytest "$@" || status=$?
[ "$status" = 1 ] || exit "$status"
echo "== what failed runs once more, alone"
status=0
pytest "$@" --numprocesses=0 --cov-append --last-failed --last-failed-no-failures=none || status=$?
# None is known to have failed where one hung, and with it the run was ended.
[ "$status" = 5 ] || exit "$status"
echo "== one hung: all run once more"
exec pytest "$@"
