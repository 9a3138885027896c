# Two commands for everybody: `make run` and `make test`. Each sets up what it needs, below this folder.
# The rest is for those who change the code; `make help` lists it.

PYTHON ?= python3
export UV_PYTHON_DOWNLOADS = never
export UV_SYSTEM_CERTS ?= 1
export UV_PROJECT_ENVIRONMENT ?= .venv
# Tests start a hundred processes; without bytecode each of them compiles all that it imports, for two seconds.
unexport PYTHONDONTWRITEBYTECODE

UV := .tools/uv/bin/uv
BIN := $(UV_PROJECT_ENVIRONMENT)/bin
RUN := $(UV) run --no-sync
# A process more than there are cores, for tests also wait; each has a Redis of its own. With WORKERS= tests come one after
# the other.
WORKERS ?= --numprocesses=$(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test soak test-pythons check format format-check lint types imports coverage clean \
	bench bench-guard \
	chart chart-generate sidecar-run image compose-check systemd-check prometheus-check sbom \
	package redis-check package-check systemd-lint examples-check workflows-check check-shipping check-containers check-integrations \
	scan bandit checkov hadolint zizmor \
	console-check

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 26

$(UV): .ci/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or later is needed; name one with: make PYTHON=/path/to/python3"; exit 1; }
	@echo "setting up for the first time: it takes a minute, and more on a slow connection" >&2
	@$(PYTHON) -m venv --clear .tools/uv \
		|| { echo "error: python3 has no venv; on Debian: apt-get install python3-venv"; exit 1; }
	@.tools/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .ci/uv.txt
	@touch $(UV)

setup: $(UV)  ## install the gateway as .venv/bin/ownership-gateway
	@$(UV) sync --quiet --locked --no-dev --inexact --python $(PYTHON)

setup-dev: $(UV)
	@$(UV) sync --quiet --locked --python $(PYTHON)

run: setup  ## serve: itch.io if an API key is configured, by environment or in OWNERSHIP_GATEWAY_CONFIG, else the sandbox
	@exec $(BIN)/ownership-gateway serve --sandbox-without-key

test: setup-dev  ## every test, against a real Redis
	@tests/install_redis.sh
	@$(RUN) pytest $(WORKERS)

SOAK_TESTS ?= tests/reliability

soak: setup-dev  ## prove it at length: a quarter of an hour; with SOAK_TESTS=tests, hours
	@tests/install_redis.sh
	@OWNERSHIP_SOAK=1 $(RUN) pytest -s --durations=15 -o faulthandler_timeout=7200 $(SOAK_TESTS)

test-pythons: $(UV)  ## the tests that may depend on it, on each supported Python that this machine has
	@tests/on_each_python.sh

check: format-check lint types imports coverage  ## what every change must pass

format: setup-dev  ## format the code
	@$(RUN) ruff format
	@$(RUN) ruff check --fix --select I

format-check: setup-dev
	@$(RUN) ruff format --check

lint: setup-dev
	@$(RUN) ruff check

types: setup-dev
	@$(RUN) mypy

imports: setup-dev
	@$(RUN) lint-imports

coverage: setup-dev
	@tests/install_redis.sh
	@$(RUN) tests/twice.sh $(WORKERS) --cov --cov-report=term-missing:skip-covered

bench: setup-dev  ## measure the gateway beside an empty handler and a plain peer; needs wrk and two cores
	@tests/install_redis.sh
	@$(RUN) python -m benchmarks run --out build/benchmarks

bench-guard: setup-dev  ## fail if a first question from memory has become too slow, as a ratio
	@tests/install_redis.sh
	@$(RUN) python -m benchmarks guard

chart: setup-dev  ## check the Helm chart and the manifests, with real Helm 3 and 4
	@helm/check.sh

chart-generate: setup-dev  ## rewrite what is made from the chart
	@helm/install.sh
	@$(RUN) python helm/generate.py

sidecar-run: setup-dev  ## really run the sidecar pod with podman
	@helm/run-sidecar.sh

image: setup-dev  ## build the container image, run it as it should be run, measure it
	@deploy/check-image.sh

compose-check: setup-dev  ## bring deploy/compose.yaml up on the sandbox, ask it, take it down
	@deploy/check-compose.sh

systemd-check: setup-dev  ## run the systemd unit under a real systemd
	@deploy/check-systemd.sh

prometheus-check: setup-dev  ## check alerts and dashboard with a real Prometheus and Alertmanager
	@deploy/check-prometheus.sh

package: $(UV)  ## write dist/*.tar.gz and dist/*.whl
	@$(UV) build --quiet --build-constraints deploy/image/build.txt --require-hashes --out-dir dist

redis-check: setup-dev  ## check deploy/redis: what its user may do is what two gateways at work need, and no more
	@tests/install_redis.sh
	@$(RUN) pytest --quiet tests/deploy/test_redis.py

package-check: setup-dev  ## build sdist and wheel, install the wheel where nothing else is, ask it a question
	@deploy/check-package.sh

systemd-lint: setup-dev  ## have systemd examine the unit, without running it
	@deploy/check-systemd-unit.sh

examples-check: setup-dev  ## run the examples for game servers against a gateway whose store fails
	@deploy/check-examples.sh

workflows-check: setup-dev  ## lint .github/workflows and the scripts in them; every action pinned by its commit
	@deploy/check-workflows.sh

scan:  ## bandit, checkov, hadolint and zizmor, each finding mended or waived with its reason; or one of them by its name
	@deploy/scan.sh

bandit checkov hadolint zizmor:
	@deploy/scan.sh $@

# Mono takes longer to install than all the rest to run.
check-shipping: workflows-check package-check redis-check systemd-lint chart prometheus-check  ## what ships, as far as it needs no containers and no Mono; about four minutes
	@deploy/check-examples.sh gdscript python node
	@echo "not in here, and to be run where containers may be: make check-containers examples-check"

check-containers: image compose-check systemd-check sidecar-run  ## what ships, in containers: needs root, or user namespaces

check-integrations: setup-dev  ## clients and proxies that are not ours, really run: Java, Node, curl, nginx, Caddy, Traefik, Envoy, an issuer of id tokens, generated clients, and pages and console in Chromium; thirteen minutes
	@deploy/check-integrations.sh

console-check: setup-dev  ## the console, driven in a real Chromium; five minutes
	@deploy/check-console.sh

sbom: setup  ## write dist/ownership-gateway.cdx.json
	@deploy/sbom.sh

clean:  ## remove everything that was set up
	@rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	@find . -name __pycache__ -prune -exec rm -r {} +
