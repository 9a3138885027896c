#!/usr/bin/env bash
# Builds the image, runs it as it should be run, stops it under load, and says how large and how quick it is.
#
#   deploy/check-image.sh                                                    on a stand-in base made from Debian packages
#   BASE_IMAGE=docker.io/library/python:3.13-slim deploy/check-image.sh      on the real one
#
# The image stays, as localhost/ownership-gateway:check, or as GATEWAY_IMAGE says.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

setup_containers
say "lint the Dockerfile"
"$(python_tool hadolint)/hadolint" Dockerfile

build_gateway_image

say "run it"
make --silent setup-dev
.venv/bin/pytest --quiet tests/deploy/test_image.py

say "measure it"
confined=(--read-only --cap-drop ALL --security-opt no-new-privileges)
name=ownership-gateway-measured-$$
trap 'podman rm --force "$name" >/dev/null 2>&1 || true' EXIT

podman create --name "$name" "$GATEWAY_IMAGE" >/dev/null 2>&1
own=$(podman cp "$name:/opt/ownership-gateway" - | wc -c)
packed=$(podman cp "$name:/opt/ownership-gateway" - | gzip -6 | wc -c)
podman rm "$name" >/dev/null 2>&1
all=$(podman image inspect --format '{{.Size}}' "$GATEWAY_IMAGE")
echo "size   $((all / 1000000)) MB in all; $((own / 1000000)) MB above the base image, $((packed / 1000000)) MB of it compressed"

for _ in 1 2 3 4 5; do
  podman run --detach --name "$name" "${confined[@]}" "$GATEWAY_IMAGE" serve --sandbox >/dev/null 2>&1
  for _ in $(seq 100); do
    started=$(podman logs "$name" 2>/dev/null | sed -n 's/^{"timestamp":"\([^"]*\)".*"event":"started".*/\1/p')
    [ -z "$started" ] || break
    sleep 0.1
  done
  begun=$(podman inspect --format '{{.State.StartedAt.UnixMilli}}' "$name")
  echo $(($(date -d "$started" +%s%3N) - begun))
  podman rm --force --time 0 "$name" >/dev/null 2>&1
done | sort -n | awk '{ms[NR] = $1} END {
  printf "start  %d ms from process to listening (median of %d; %d to %d)\n", ms[(NR + 1) / 2], NR, ms[1], ms[NR]
}'
