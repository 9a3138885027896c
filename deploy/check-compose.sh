#!/usr/bin/env bash
# Brings deploy/compose.yaml up on the sandbox, asks it, and takes it down with all that it kept.
#
# The gateway's image is built if there is none yet. Redis, Prometheus and Alertmanager are stand-ins made from Debian
# packages, so that no registry is needed; REDIS_IMAGE, PROMETHEUS_IMAGE and ALERTMANAGER_IMAGE name others. Grafana comes
# up only where GRAFANA_IMAGE names its image, for Debian has none.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

setup_containers
podman image exists "$GATEWAY_IMAGE" || build_gateway_image

# stand_in NAME ENTRYPOINT...: an image that starts this, from one with all three.
stand_in_for() {
  local name=$1 container
  shift
  debian_image localhost/monitoring:stand-in trixie redis-server prometheus prometheus-alertmanager ca-certificates
  container=$(buildah from --pull-never localhost/monitoring:stand-in)
  # The directories that the real images have, for the user that they run as.
  buildah run --isolation chroot "$container" install -d -o 65534 -g 65534 /prometheus /alertmanager
  buildah config --entrypoint "$(printf '"%s",' "$@" | sed 's/^/[/; s/,$/]/')" --cmd '' --user 65534 "$container"
  buildah commit --quiet --rm "$container" "$name" >/dev/null
  echo "$name"
}
export REDIS_IMAGE=${REDIS_IMAGE:-$(stand_in_for localhost/redis:stand-in /usr/bin/env)}
export PROMETHEUS_IMAGE=${PROMETHEUS_IMAGE:-$(stand_in_for localhost/prometheus:stand-in /usr/bin/prometheus)}
export ALERTMANAGER_IMAGE=${ALERTMANAGER_IMAGE:-$(stand_in_for localhost/alertmanager:stand-in /usr/bin/prometheus-alertmanager)}
services=(setup gateway redis prometheus alertmanager)
[ -z "${GRAFANA_IMAGE:-}" ] || services+=(grafana)

free_ports() {
  python3 -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(one.getsockname()[1] for one in held))'
}
read -r GATEWAY_PORT PROMETHEUS_PORT ALERTMANAGER_PORT GRAFANA_PORT <<<"$(free_ports)"
export GATEWAY_PORT PROMETHEUS_PORT ALERTMANAGER_PORT GRAFANA_PORT

podman_compose=$(python_tool podman-compose)/podman-compose
export COMPOSE_COMMAND="$podman_compose --file deploy/compose.yaml --project-name ownership-gateway-check"
# shellcheck disable=SC2086 # it is words
compose() { $COMPOSE_COMMAND "$@"; }
trap 'compose down --volumes >"$tools/containers/down.log" 2>&1 || cat "$tools/containers/down.log" >&2' EXIT

say "bring it up"
compose down --volumes >/dev/null 2>&1 || true
compose up --detach --no-build "${services[@]}" >"$tools/containers/up.log" 2>&1 || {
  cat "$tools/containers/up.log" >&2
  exit 1
}

say "ask it"
make --silent setup-dev
.venv/bin/pytest --quiet tests/deploy/test_compose.py
