#!/usr/bin/env bash
# Writes what the gateway is made of, as CycloneDX 1.6 JSON: every package that is in the image, with version and licence.
#
#   deploy/sbom.sh [FILE]      dist/ownership-gateway.cdx.json unless another file is named
#
# It is made from the lock as the image is, in an environment of its own. Two runs on one commit write the same bytes.
# What the base image holds besides is for a scanner of images to say.
set -euo pipefail
# shellcheck source=deploy/tools/containers.sh
source "$(dirname "$0")/tools/containers.sh"
file=${1:-$root/dist/ownership-gateway.cdx.json}
mkdir -p "$(dirname "$file")"
file=$(cd "$(dirname "$file")" && pwd)/$(basename "$file")
cd "$root"

make --silent .tools/uv/bin/uv
cyclonedx=$(python_tool cyclonedx)/cyclonedx-py
# The options of the Dockerfile's own `uv sync`, so that both hold the same.
read -r -a left_out <<<"$(grep -o -e '--no-install-package [a-z-]*' Dockerfile | tr '\n' ' ')"
environment=$tools/sbom-environment
UV_PROJECT_ENVIRONMENT=$environment .tools/uv/bin/uv sync --quiet --locked --no-dev --no-install-project "${left_out[@]}"

# From the directory of pyproject.toml, which describes the gateway itself.
"$cyclonedx" environment --pyproject pyproject.toml --mc-type application --output-reproducible \
  --spec-version 1.6 --output-format JSON --validate --output-file "$file" "$environment/bin/python"
python3 - "$file" <<'END'
import json
import sys

bill = json.load(open(sys.argv[1]))
print(f"{sys.argv[1]}: {bill['metadata']['component']['name']} and {len(bill['components'])} packages")
END
