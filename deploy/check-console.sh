#!/usr/bin/env bash
# Drives the console in a real Chromium: signs in, pastes, presses every button, by keyboard alone, narrow and dark. Prints
# one line for each check. About five minutes.
#
#   deploy/check-console.sh                                        all of them
#   deploy/check-console.sh -k outage                              some; what follows goes to pytest
#   CONSOLE_PICTURES=docs/console deploy/check-console.sh -k pictures   takes the pictures of docs/ anew
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

need chromium -- chromium fonts-dejavu-core
make --silent setup-dev
# Part of the driver is compiled for one Python: that of the tests, which import it.
TOOL_PYTHON=$root/.venv/bin/python python_tool console >/dev/null

say "drive the console in Chromium"
timeout --signal=INT --kill-after=10 900 .venv/bin/pytest --quiet --no-header --tb=short -rN -o faulthandler_timeout=900 tests/integrations/console "$@"
