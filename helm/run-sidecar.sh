#!/usr/bin/env bash
# Really runs the sidecar: the pod of helm/examples/game-server, rendered by Helm, with podman, with the seller's key and as
# a relay, each once on loopback and once on a Unix socket. Questions are asked from inside the game server's container.
# And the pod of `helm test`, on the sandbox.
#
# The image is GATEWAY_IMAGE, by default localhost/ownership-gateway:check, which is built if it is not there. In place of a
# game server runs the sandbox, so that the sidecar has a store to ask and a seller's key to read.
#
# podman is no kubelet, so four things are changed in what Helm rendered (helm/for_podman.py says which and why).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/tools/containers.sh
source deploy/tools/containers.sh

helm/install.sh
setup_containers
if [ ! -x .venv/bin/pytest ]; then
  make --silent setup-dev
fi
if ! podman image exists "$GATEWAY_IMAGE"; then
  build_gateway_image
fi

# Everything that is made has one of these names, and nothing else is ever removed.
name="sidecar-check-$$"
pod="$name-pod-0"
volumes=("$name" "$name-key" "$name-socket")
work="$(mktemp -d)"

remove() {
  podman pod rm --force --time 0 "$pod" >/dev/null 2>&1 || true
  podman pod rm --force --time 0 "$name-doctor" >/dev/null 2>&1 || true
  podman secret rm "$name-key" >/dev/null 2>&1 || true
  for volume in "${volumes[@]}"; do
    podman volume rm "$volume" >/dev/null 2>&1 || true
  done
}
trap 'remove; rm -rf "$work"' EXIT

mkdir "$work/helm"
cp -r helm/ownership-gateway helm/examples "$work/helm/"
example="$work/helm/examples/game-server"
.tools/helm/helm4 dependency update "$example" >/dev/null

# What differs between a sidecar that asks itch.io, which is the sandbox here, and a relay, whose hub has the sandbox.
store_of() {
  if [ "$1" = relay ]; then
    echo 'serve, --sandbox'
  else
    echo sandbox
  fi
}
values_of_key() {
  cat <<END
  config:
    drain_seconds: 1
    itch:
      base_url: http://127.0.0.1:8090
  secrets:
    sellerKey:
      existingSecret: $name-key
    relayToken:
      existingSecret: ""
  sidecar:
    acceptKeyInPod: true
    relay:
      url: ""
END
}
values_of_relay() {
  cat <<END
  config:
    drain_seconds: 1
  secrets:
    relayToken:
      existingSecret: $name-key
  sidecar:
    relay:
      url: http://127.0.0.1:8090
END
}

# run FORM LISTEN: runs the pod, asks it, stops it. FORM is `key` or `relay`.
run() {
  local form=$1 listen=$2
  say "the sidecar with a $form on $listen"
  .tools/helm/helm4 template "$name" "$example" --values - >"$work/rendered.yaml" <<END
image: $GATEWAY_IMAGE
command: [/opt/ownership-gateway/bin/ownership-gateway, $(store_of "$form"), --port, "8090"]
ownership-gateway:
  fullnameOverride: $name
  image:
    repository: ${GATEWAY_IMAGE%:*}
    tag: ${GATEWAY_IMAGE##*:}
    pullPolicy: Never
  replicaCount: 1
$(values_of_"$form")
    form: container
    listen: $listen
END
  .venv/bin/python helm/for_podman.py "$name" <"$work/rendered.yaml" >"$work/pod.yaml"
  secret "$form" | podman secret create "$name-key" - >/dev/null
  # An emptyDir as a kubelet makes it; podman would give it to the container that starts first.
  podman volume create "$name-socket" >/dev/null
  chmod 2777 "$(podman volume inspect --format '{{.Mountpoint}}' "$name-socket")"
  # No network but loopback: all that is needed is in the pod.
  podman kube play --quiet --network none "$work/pod.yaml" >/dev/null 2>"$work/play.log" || {
    cat "$work/play.log" >&2
    return 1
  }
  GATEWAY_POD=$pod GATEWAY_FORM=$form .venv/bin/pytest --quiet helm/sidecar_pod.py
  remove
}

# The sandbox's own key, which opens nothing, or a relay's token, which a hub without callers does not look at; as podman
# wants a Secret: before 4.4 it wanted it without base64.
secret() {
  local key version name_of_key=seller-key
  key=$(.venv/bin/python -c 'from service.sandbox.seed import SELLER_KEY; print(SELLER_KEY, end="")')
  if [ "$1" = relay ]; then
    name_of_key=token
  fi
  version=$(podman version --format '{{.Client.Version}}')
  if [ "$(printf '%s\n4.4\n' "$version" | sort --version-sort | head -n 1)" = 4.4 ]; then
    key=$(printf %s "$key" | base64 --wrap 0)
  fi
  printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\ndata:\n  %s: %s\n' "$name-key" "$name_of_key" "$key"
}

for form in key relay; do
  run "$form" loopback
  run "$form" unixSocket
done

say "the pod of helm test"
.tools/helm/helm4 template "$name" helm/ownership-gateway --values helm/ownership-gateway/ci/service-sandbox-values.yaml \
  --set "fullnameOverride=$name,image.repository=${GATEWAY_IMAGE%:*},image.tag=${GATEWAY_IMAGE##*:},image.pullPolicy=Never" \
  --show-only templates/configmap.yaml --show-only templates/tests/doctor.yaml --set networkPolicy.enabled=false \
  | podman kube play --quiet --network none - >/dev/null
ended=$(timeout 60 podman wait "$name-doctor-doctor")
podman logs "$name-doctor-doctor"
[ "$ended" = 0 ] || { echo "error: doctor ended with $ended" >&2 && exit 1; }
