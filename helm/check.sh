#!/usr/bin/env bash
# Checks the chart with real Helm 3 and Helm 4, and what it renders against Kubernetes' own schemas.
#
#   1. lint and render every scenario in ci/, the packed chart, and the example of a game server with a sidecar;
#   2. check all that, and deploy/kubernetes, strictly against the schemas of three Kubernetes versions, and the kinds of
#      the Prometheus Operator and of the Gateway API against their own;
#   3. see that everything generated is up to date;
#   4. run tests/helm.
#
# Installs what it needs below .tools and, as root on Debian, with apt-get.
set -euo pipefail
cd "$(dirname "$0")/.."

chart=helm/ownership-gateway
# The oldest supported, the oldest that knows native sidecars, and the newest.
kubernetes_versions=(1.27 1.29 1.37)

say() { echo "== $*"; }

helm/install.sh
if [ ! -x .venv/bin/pytest ]; then
  make setup-dev
fi

validator=.tools/helm/validate-venv
requirements="$(sha256sum helm/kubernetes-validate.txt | cut -c 1-16)"
if [ ! -e "$validator/$requirements.installed" ]; then
  python3 -m venv --clear "$validator"
  "$validator/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r helm/kubernetes-validate.txt
  touch "$validator/$requirements.installed"
fi

if ! command -v npm >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: node (18 or later) and npm are needed; on Debian: apt-get install nodejs npm" >&2
    exit 1
  fi
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends nodejs npm
fi
monitoring=.tools/helm/monitoring
if ! cmp --silent helm/monitoring/package-lock.json "$monitoring/package-lock.json" || [ ! -d "$monitoring/node_modules" ]; then
  rm -rf "$monitoring"
  mkdir -p "$monitoring"
  cp helm/monitoring/package.json helm/monitoring/package-lock.json "$monitoring/"
  npm --prefix "$monitoring" ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi
cp helm/monitoring/check.cjs "$monitoring/"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/helm" "$work/rendered"
cp -r "$chart" helm/examples "$work/helm/"
example="$work/helm/examples/game-server"
.tools/helm/helm4 dependency update "$example" >/dev/null

say "generated files"
.venv/bin/python helm/generate.py --check

say "lint and render"
for major in 3 4; do
  helm=".tools/helm/helm$major"
  "$helm" package "$chart" --destination "$work/packed$major" >/dev/null
  for values in "$chart"/ci/*-values.yaml; do
    scenario="$(basename "$values" -values.yaml)"
    "$helm" lint --strict --quiet "$chart" --values "$values"
    for version in "${kubernetes_versions[@]}"; do
      # What has a native sidecar is not for 1.27.
      if [ "$version" = 1.27 ] && grep -qE '^mode: sidecar|restartPolicy: Always' "$values"; then
        continue
      fi
      rendered="$work/rendered/helm$major-$version-$scenario.yaml"
      "$helm" template release "$chart" --namespace games --kube-version "$version" --values "$values" >"$rendered"
      "$helm" template release "$work/packed$major"/*.tgz --namespace games --kube-version "$version" --values "$values" |
        cmp - "$rendered"
    done
  done
  "$helm" lint --strict --quiet "$example"
  for form in native container; do
    for listen in loopback unixSocket; do
      "$helm" template release "$example" --namespace games \
        --set "ownership-gateway.sidecar.form=$form,ownership-gateway.sidecar.listen=$listen" \
        >"$work/rendered/helm$major-example-$form-$listen.yaml"
    done
  done
done
.tools/helm/kubectl kustomize deploy/kubernetes >"$work/rendered/kustomized.yaml"
for manifest in deploy/kubernetes/*.yaml; do
  if [ "$(basename "$manifest")" != kustomization.yaml ]; then
    cp "$manifest" "$work/rendered/manifest-$(basename "$manifest")"
  fi
done
echo "$(find "$work/rendered" -name '*.yaml' | wc -l) files rendered"

# The validator only warns about kinds that it does not know, so these are taken out, and checked by what knows them.
"$validator/bin/python" helm/split_kinds.py "$work/rendered" "$work/kubernetes" "$work/others.json"
for version in "${kubernetes_versions[@]}"; do
  say "Kubernetes $version"
  # All that is rendered for no version in particular has native sidecars in it, or is beside them.
  objects=("$work/kubernetes"/*-"$version"-*.yaml)
  if [ "$version" != 1.27 ]; then
    objects+=("$work/kubernetes"/helm*-example-*.yaml "$work/kubernetes"/kustomized-*.yaml "$work/kubernetes"/manifest-*.yaml)
  fi
  said="$("$validator/bin/kubernetes-validate" --kubernetes-version "$version" --strict "${objects[@]}" 2>&1)" || {
    grep -v '^INFO' <<<"$said" >&2
    exit 1
  }
  if grep -i -E '^(WARN|ERROR)' <<<"$said" >&2; then
    exit 1
  fi
  echo "$(grep -c '^INFO' <<<"$said") objects checked"
done
say "Prometheus Operator and Gateway API"
node "$monitoring/check.cjs" <"$work/others.json"

say "tests"
.venv/bin/mypy --no-error-summary helm/generate.py
.venv/bin/pytest -q tests/helm
