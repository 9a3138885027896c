#!/usr/bin/env bash
# Has systemd examine the unit, without running it: every setting is one that it knows, and little is left that it could
# harm. deploy/check-systemd.sh runs it.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

need systemd-analyze -- systemd
make --silent setup-dev
say "the systemd unit"
.venv/bin/pytest --quiet tests/deploy/test_systemd.py
