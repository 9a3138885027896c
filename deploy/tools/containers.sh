#!/usr/bin/env bash
# Sourced by the scripts that build and run containers: installs what they need, and builds the gateway's image.
#
# podman and buildah, because they need no daemon. On Debian they are installed where they are missing, which needs root.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/.tools
# Shared with whatever else wants to run the image.
export GATEWAY_IMAGE=${GATEWAY_IMAGE:-localhost/ownership-gateway:check}
stand_in=localhost/python:3.13-slim

say() { printf '\n== %s\n' "$*" >&2; }

# need COMMAND... -- PACKAGE...: installs the packages if one of the commands is missing.
need() {
  local command missing=
  while [ "$1" != -- ]; do
    command=$1
    shift
    command -v "$command" >/dev/null || missing=$command
  done
  shift
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: $missing is missing; as root on Debian it would be installed: apt-get install $*" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# python_tool NAME: sets up deploy/tools/NAME.txt in an environment of its own, made by $TOOL_PYTHON, and prints where its
# programs are.
python_tool() {
  local name=$1
  local pins=$root/deploy/tools/$name.txt venv=$tools/$name-venv
  if [ ! -e "$venv/done" ] || [ "$pins" -nt "$venv/done" ]; then
    "${TOOL_PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$pins" >&2
    touch "$venv/done"
  fi
  echo "$venv/bin"
}

setup_containers() {
  need buildah podman runc mmdebstrap iptables aardvark-dns -- \
    buildah podman runc mmdebstrap netavark aardvark-dns iptables uidmap catatonit
  mkdir -p "$tools/containers"
  # Where nothing else is configured: limits that also fit into a container, and no need for systemd.
  if [ -z "${CONTAINERS_CONF:-}" ]; then
    cat >"$tools/containers/containers.conf" <<'END'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
END
    export CONTAINERS_CONF=$tools/containers/containers.conf
  fi
}

# debian_image NAME SUITE PACKAGE...: makes an image of that Debian with these packages, unless there is one.
debian_image() {
  local name=$1 suite=$2 packages
  shift 2
  ! podman image exists "$name" || return 0
  say "make $name from Debian packages"
  packages=$(IFS=,; echo "$*")
  mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$tools/containers/root.tar"
  podman import --quiet "$tools/containers/root.tar" "$name" >/dev/null
  rm "$tools/containers/root.tar"
}

# Builds $GATEWAY_IMAGE. On BASE_IMAGE if it is set, which is then pulled; else on a stand-in for python:3.13-slim made from
# Debian's own packages, so that no registry is needed.
build_gateway_image() {
  local base=${BASE_IMAGE:-$stand_in} mounts=() file
  if [ -z "${BASE_IMAGE:-}" ]; then
    debian_image "$stand_in" trixie python3 python3-venv python3-pip ca-certificates
  fi
  # What this machine trusts, and how it reaches the package index, holds during the build too. None of it stays in the image.
  for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/uv/uv.toml; do
    [ ! -e "$file" ] || mounts+=(-v "$file:$file:ro")
  done
  say "build $GATEWAY_IMAGE on $base"
  buildah bud --isolation chroot --format docker --layers "${mounts[@]}" \
    --build-arg BASE_IMAGE="$base" \
    --build-arg VERSION="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml")" \
    --build-arg REVISION="$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    -t "$GATEWAY_IMAGE" "$root" >"$tools/containers/build.log" 2>&1 || {
    tail -n 40 "$tools/containers/build.log" >&2
    return 1
  }
}
