#!/usr/bin/env bash
# Runs clients and proxies that are not ours against the installed gateway: Java, Node, Python, curl, nginx, and two
# gateways behind nginx that are restarted in turn. Prints one line for each check. About two minutes.
#
#   deploy/check-integrations.sh                           all of them
#   deploy/check-integrations.sh -k curl                   some; what follows goes to pytest
#   INTEGRATIONS_LONG=1 deploy/check-integrations.sh       36 restarts instead of 6
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"
export PATH=$PATH:/usr/sbin

# The packages start services of their own unless a runlevel says that the machine is coming up.
export RUNLEVEL=1
need curl -- curl
need java javac -- openjdk-17-jdk-headless
need node -- nodejs
if ! command -v nginx >/dev/null; then
  need nginx -- nginx-light
  [ ! -d /run/systemd/system ] || systemctl disable --quiet --now nginx.service
fi
make --silent setup-dev

limit=480 # a busy machine needs longer
[ -z "${INTEGRATIONS_LONG:-}" ] || limit=1800
say "run clients and proxies against the gateway"
timeout --signal=INT --kill-after=10 "$limit" .venv/bin/pytest --quiet --no-header --tb=short -rN -o faulthandler_timeout="$limit" tests/integrations "$@"
