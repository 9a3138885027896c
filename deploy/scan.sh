#!/usr/bin/env bash
# Has scanners that are not ours look at what is here and what ships. Each finding is mended, or waived with its reason beside
# it: in the line, or in deploy/tools/scan_waivers.toml.
#
#   deploy/scan.sh                   all of them
#   deploy/scan.sh bandit zizmor     some
#
#   bandit    Python that runs: the package, helm, deploy, benchmarks; not tests
#   checkov   the Dockerfile, the workflows, deploy/kubernetes, and what the chart renders from its scenarios
#   hadolint  the Dockerfile
#   zizmor    the workflows, pedantically, without those audits that ask GitHub
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
findings=(python3 deploy/tools/scan_findings.py)

bandit() {
  # Its exit code is 1 for findings, and it is for the waivers to say which of them count.
  "$(python_tool bandit)/bandit" --quiet --exit-zero --recursive service helm deploy benchmarks \
    --format json --output "$work/bandit.json" 2>"$work/bandit.log" || { cat "$work/bandit.log" >&2 && return 1; }
  "${findings[@]}" bandit "$work/bandit.json"
}

checkov() {
  local values scenario
  helm/install.sh || return 1
  mkdir "$work/shipped"
  cp -r Dockerfile .github deploy/kubernetes "$work/shipped/"
  for values in helm/ownership-gateway/ci/service*-values.yaml; do
    scenario=$(basename "$values" -values.yaml)
    # Its containers beside the gateway's are stand-ins with nothing but a name.
    [ "$scenario" != service-everything ] || continue
    .tools/helm/helm4 template release helm/ownership-gateway --namespace games --values "$values" >"$work/shipped/$scenario.yaml" ||
      return 1
  done
  # From inside, or places would be named by the folder's own name.
  (cd "$work/shipped" && BC_SKIP_MAPPING=TRUE LOG_LEVEL=ERROR "$(python_tool checkov)/checkov" --directory . \
    --framework kubernetes dockerfile github_actions --skip-download --quiet --compact --soft-fail --output json) >"$work/checkov.json"
  "${findings[@]}" checkov "$work/checkov.json"
}

hadolint() {
  "$(python_tool hadolint)/hadolint" Dockerfile && echo "hadolint: nothing is left; waivers are in the Dockerfile"
}

zizmor() {
  "$(python_tool zizmor)/zizmor" --offline --persona=pedantic --no-progress --quiet .github/workflows deploy/examples/ci/workflow.yml &&
    echo "zizmor: nothing is left; waivers are in the workflows"
}

scanners=("$@")
[ $# -gt 0 ] || scanners=(bandit checkov hadolint zizmor)
failed=()
# Each function ends with what decides: `||` turns `set -e` off in them.
for scanner in "${scanners[@]}"; do
  "$scanner" || failed+=("$scanner")
done
[ ${#failed[@]} = 0 ] || { echo "error: findings that are neither mended nor waived: ${failed[*]}" >&2 && exit 1; }
