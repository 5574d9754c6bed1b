# Everything a newcomer runs. `make` alone lists it. Each step leaves a stamp, so a second run does only what changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
NODE := frontend/node_modules/.installed
DIST := frontend/dist/.built
TESTED := frontend/node_modules/.tested
RUNTIME_PINS := requirements.txt $(wildcard fleet/daemon/requirements.txt fleet/daemon/drivers/*/requirements.txt)
FRONTEND_SOURCES := $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/dist/*')
LINTED := fleet learner sop_web tests scripts benchmarks manage.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help tools setup demo demo-reset test kill-test import-kill-test chaos test-python test-e2e safety test-frontend check check-python check-console sbom audit fuzz openapi fuzz-api bench screenshots verify-lerobot verify-robot verify-policy verify-images docs
.DEFAULT_GOAL := help

help: ## List the commands
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo
	@echo '  Options of the demo go in ARGS: make demo ARGS="--robots 4 --minutes 15 --headless --report demo.json"'

tools:
	@PYTHON="$(PYTHON)" scripts/check-tools

$(RUNTIME): $(RUNTIME_PINS) | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages (two to four minutes the first time) ..."
	@$(BIN)/python -m pip install -qq -r requirements.txt
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "Installing packages for tests and checks ..."
	@$(BIN)/python -m pip install -qq -r requirements-dev.txt
	@touch $@

$(NODE): frontend/package.json frontend/package-lock.json | tools
	@echo "Installing the console's packages ..."
	@cd frontend && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(DIST): $(NODE) $(FRONTEND_SOURCES)
	@echo "Building the console ..."
	@cd frontend && npm run --silent build
	@touch $@

setup: $(DEV) $(NODE) ## Install everything that runs, tests and checks need

demo: $(RUNTIME) $(DIST) ## Run the whole system with simulated robots (ARGS="--help" lists options)
	@$(BIN)/python -m sop_web.demo $(ARGS)

demo-reset: $(RUNTIME) ## Ask, then clear what the demo keeps (ARGS=--yes does not ask)
	@$(BIN)/python -m sop_web.demo reset $(ARGS)

test: setup $(DIST) test-frontend test-e2e safety test-python ## Set up, build, and run every test

test-frontend: $(TESTED)

$(TESTED): $(NODE) $(FRONTEND_SOURCES)
	cd frontend && npm test
	@touch $@

# 4,000 tests of real processes on two cores: what fails is run once more, and named as RERUN in the summary even when it
# passes then. Such a line is a race to look for, not noise. What keeps people safe has one try.
RERUNS := --reruns 1 -raR

# A worker a core, each with servers of its own. One that has nothing left takes from the other, so none is idle at the
# end, whatever the order; tests of a file follow one another, so what they share is made once, twice at most.
BOTH_CORES := -n 2 --dist worksteal

# A run of its own: Playwright's event loop and pytest-asyncio do not share one (docs: machine notes, 7).
test-e2e: $(DEV) $(DIST)
	@scripts/ensure-chromium
	DJANGO_ALLOW_ASYNC_UNSAFE=1 $(BIN)/python -m pytest tests/e2e --ignore=tests/e2e/safety $(RERUNS)

safety: $(DEV) $(DIST) ## The safety acceptance tests: a line each with the time to standstill
	@scripts/ensure-chromium
	DJANGO_ALLOW_ASYNC_UNSAFE=1 $(BIN)/python -m pytest tests/e2e/safety -p no:randomly

kill-test: $(DEV) ## Kill a recording daemon 50 times (KILLS=50) and look for an episode that is not whole
	SOP_KILLS=$(or $(KILLS),50) $(BIN)/python -m pytest tests/fleet/consumers/test_killed_daemon.py

import-kill-test: $(DEV) ## Kill workers of an import 20 times (KILLS=20) and look for a half one
	SOP_KILLS=$(or $(KILLS),20) $(BIN)/python -m pytest tests/fleet/services/test_import_kills.py

chaos: $(DEV) ## Break the running stack in every way that is known, write docs/reliability.md's table (SEED=1, FAULTS=redis-kill,...)
	SOP_CHAOS_SEED=$(or $(SEED),1) SOP_CHAOS_FAULTS=$(FAULTS) SOP_CHAOS_PAGE=docs/reliability.md \
		$(BIN)/python -m pytest tests/chaos/test_chaos.py -m chaos -p no:randomly

# Two runs: what only computes, asks the database or waits for what must come in the end goes on both cores; what keeps
# time (robots, links) has the machine to itself: all of the daemon but its drivers and what follows the simulator's clock.
UNTIMED := %/test_recorder.py %/test_rollouts.py %/test_spool.py
TIMED := tests/fleet/consumers tests/fleet/daemon/media $(filter-out $(UNTIMED),$(wildcard tests/fleet/daemon/test_*.py))

test-python: $(DEV)
	$(BIN)/python -m pytest tests --ignore=tests/e2e $(TIMED:%=--ignore=%) $(BOTH_CORES) $(RERUNS)
	$(BIN)/python -m pytest $(TIMED) $(RERUNS)

check: check-python check-console ## Lint, types, import arrows, migrations, production settings, generated protocol, documentation

check-python: $(DEV)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=sop_web.settings.test $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=sop_web.settings.test $(BIN)/python -W ignore manage.py api_reference --check
	scripts/check-deploy
	$(BIN)/python scripts/sbom.py $(VENV)/sop.cdx.json
	$(BIN)/python scripts/docs.py

check-console: $(DEV) $(NODE)
	cd frontend && npm run protocol:check
	cd frontend && npm run lint
	cd frontend && npm run types

docs: setup ## Build the documentation site into var/site; a broken link fails
	@$(BIN)/python scripts/docs.py

sbom: $(RUNTIME) ## Write the software bill of materials, CycloneDX JSON (SBOM=sop.cdx.json)
	@$(BIN)/python scripts/sbom.py $(or $(SBOM),sop.cdx.json)

audit: $(RUNTIME) ## Ask the services that know of holes in packages (needs the network; status 3: nobody answered)
	@$(BIN)/python scripts/audit.py

fuzz: setup ## Give every decoder nearly right bytes (SOP_FUZZ_INPUTS=5000 a decoder)
	SOP_FUZZ_INPUTS=$${SOP_FUZZ_INPUTS:-5000} $(BIN)/python -m pytest tests/fuzz -s --timeout 3600

openapi: setup ## Write docs/openapi.yaml, docs/api-errors.md and docs/access.md from the code
	DJANGO_SETTINGS_MODULE=sop_web.settings.test $(BIN)/python -W ignore manage.py api_reference

fuzz-api: setup ## Send the API thousands of requests that its schema allows and does not (SOP_FUZZ_EXAMPLES=50)
	SOP_FUZZ_EXAMPLES=$${SOP_FUZZ_EXAMPLES:-50} SOP_FUZZ_PHASES=coverage,fuzzing $(BIN)/python -m pytest tests/fleet/api/test_fuzz.py -s

bench: setup $(DIST) ## Run every benchmark into var/bench.json: 25 minutes, measured, not asserted (ARGS="--quick --only video")
	@scripts/ensure-chromium
	@$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(DEV) $(DIST) ## Take the pictures of the docs from a running demo (ARGS="--only readme")
	@scripts/ensure-chromium
	$(BIN)/python scripts/screenshots.py $(ARGS)

verify-lerobot: $(RUNTIME) ## Load our exports with the real lerobot 0.6.1 and compare (Python 3.12, 5.4 GB; EPISODES=folder)
	@scripts/verify-lerobot $(EPISODES)

verify-robot: $(DEV) ## Drive robots of the real lerobot 0.6.1 and load what was recorded (Python 3.12, 5.4 GB)
	@scripts/verify-robot

verify-policy: $(DEV) ## Host and train policies of the real lerobot 0.6.1 (Python 3.12, 6 GB; STEPS=300 EPISODES=0)
	@STEPS=$(STEPS) EPISODES=$(EPISODES) scripts/verify-policy

verify-images: $(DEV) ## Build the container images and run docker-compose.yml without Docker (root on Debian 12, 18 GB)
	@scripts/verify-images
