#!/usr/bin/env bash
# Runs the systemd unit under a real systemd: installs it in a container as its first lines say, starts it, asks it, stops it.
#
# The container is a whole Debian 12, and privileged, because systemd sets up the unit's confinement itself.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

setup_containers
debian_image localhost/systemd:stand-in bookworm systemd procps python3 python3-venv python3-pip ca-certificates
# The Dockerfile puts the gateway into /opt/ownership-gateway, where the unit looks for it.
GATEWAY_IMAGE=localhost/ownership-gateway:systemd BASE_IMAGE=localhost/systemd:stand-in build_gateway_image

export SYSTEMD_CONTAINER=ownership-gateway-systemd-$$
trap 'podman rm --force --time 0 "$SYSTEMD_CONTAINER" >/dev/null 2>&1 || true' EXIT
say "start systemd"
# Mounts are shared as on a machine: systemd makes them so itself, but not in a container, and hands no credentials over then.
podman run --detach --name "$SYSTEMD_CONTAINER" --privileged --systemd=always --user 0:0 --entrypoint /bin/sh \
  --volume "$root/deploy/systemd:/unit:ro" localhost/ownership-gateway:systemd \
  -c 'mount --make-rshared / && exec /lib/systemd/systemd' >/dev/null
for _ in $(seq 100); do
  state=$(podman exec "$SYSTEMD_CONTAINER" systemctl is-system-running 2>/dev/null || true)
  [ "$state" != running ] || break
  sleep 0.1
done
[ "$state" = running ] || {
  podman exec "$SYSTEMD_CONTAINER" systemctl --failed --no-pager >&2
  exit 1
}

say "run the unit"
make --silent setup-dev
.venv/bin/pytest --quiet tests/deploy/test_systemd_unit.py
