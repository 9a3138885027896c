#!/usr/bin/env bash
# Checks alerts, routes and dashboard with real Prometheus and Alertmanager, which are fetched if they are missing.
#
#   1. the dashboard against Grafana's own schema;
#   2. rules, their cases, the examples, and what the gateway exposes, by promtool and amtool;
#   3. a real Prometheus scrapes the real gateway: every panel's question has an answer, and every kind of fault reaches a
#      webhook through a real Alertmanager.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

say "the dashboard, by Grafana's schema"
"$(python_tool grafana-schema)/python" deploy/tools/check_dashboard.py deploy/grafana/*.json

say "fetch Prometheus and Alertmanager"
programs=$(deploy/tools/install-prometheus.sh)
"$programs/prometheus" --version 2>&1 | head -n 1
"$programs/alertmanager" --version 2>&1 | head -n 1
tests/install_redis.sh >/dev/null

say "rules, routes, dashboard"
make --silent setup-dev
# One test waits for four alerts in turn, on a machine that runs the tests of three Pythons meanwhile.
.tools/uv/bin/uv run --no-sync tests/twice.sh --quiet -o faulthandler_timeout=900 tests/deploy/test_prometheus.py \
  tests/deploy/test_dashboard.py tests/deploy/test_prometheus_alerts.py tests/deploy/test_night_alerts.py
