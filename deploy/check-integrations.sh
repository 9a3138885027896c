#!/usr/bin/env bash
# Runs clients and proxies that are not ours against the installed gateway: Java, Node, Python, curl, nginx, and two
# gateways behind nginx that are restarted in turn; nginx, Caddy, Traefik and Envoy with the recipes of
# deploy/forward-auth; clients that generators make from the description, in TypeScript, Python and Java; an issuer of
# id tokens (oidc-provider); PostgreSQL, with the SQL of docs/api.md; and Chromium, which shows the pages and, without
# arguments, uses the console. Prints a line for each check. About thirteen minutes.
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
stream=/usr/lib/nginx/modules/ngx_stream_module.so
if ! command -v nginx >/dev/null || { nginx -V 2>&1 | grep -q with-stream=dynamic && [ ! -e "$stream" ]; }; then
  need nginx "$stream" -- nginx-light libnginx-mod-stream
  [ ! -d /run/systemd/system ] || systemctl disable --quiet --now nginx.service
fi
need npm -- npm
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need initdb -- postgresql
need chromium -- chromium fonts-dejavu-core
make --silent setup-dev

# Installs what deploy/tools/NAME/package-lock.json pins into .tools/NAME-node, unless it is there.
node_tool() {
  [ "deploy/tools/$1/package-lock.json" -nt ".tools/$1-node/done" ] || return 0
  mkdir -p ".tools/$1-node"
  cp "deploy/tools/$1"/package*.json ".tools/$1-node"
  npm ci --prefix ".tools/$1-node" --ignore-scripts --no-audit --no-fund --silent
  touch ".tools/$1-node/done"
}

say "set up generators of clients"
python_tool generators >/dev/null
node_tool generators

limit=1200 # a busy machine needs longer
[ -z "${INTEGRATIONS_LONG:-}" ] || limit=1800
say "set up proxies and an issuer of id tokens"
python_tool forward-auth >/dev/null
node_tool oidc
say "run clients and proxies against the gateway"
timeout --signal=INT --kill-after=10 "$limit" .venv/bin/pytest --quiet --no-header --tb=short -rN -o faulthandler_timeout="$limit" tests/integrations --ignore=tests/integrations/console "$@"
[ $# -gt 0 ] || deploy/check-console.sh
