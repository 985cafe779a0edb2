# What developers and CI run. Needs only make, bash, Python 3.11 to 3.13, and Docker or Maven for a real Kafka.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help env demo test check static lint types imports kernels unit integration wheel retrain image rollout api bench images lock clean

# Tests start dozens of interpreters that import the same libraries: without bytecode each compiles them again, which
# is two thirds of its start.
unexport PYTHONDONTWRITEBYTECODE

# The newest Python that the project supports and that is here; another one: make env PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$python" && break; done)
UV_VERSION := 0.13.9
BIN := .venv/bin
# How many processes run tests at once: make unit WORKERS=0 runs them in one, as a debugger wants it.
WORKERS := 2
# A module stays in one process: its fixtures may be expensive, its tests a story.
DIST := --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

env: .venv/installed-project ## create or update .venv with exactly the locked packages

.venv/installed-packages: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 on the PATH; install one, or name it: make env PYTHON=..."; exit 2; }
	@echo "--- env: $$($(PYTHON) --version) and the packages of requirements-dev.txt in .venv"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv \
		|| { echo "make: $(PYTHON) cannot create environments; on Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.txt
	@touch $@

.venv/installed-project: .venv/installed-packages pyproject.toml
	@$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

demo: env ## show the main job on a real Kafka: train, categorize, look at the events
	@$(BIN)/sortline demo

test: env ## all that CI checks: static, unit, integration
	@steps=""; \
	for step in static unit integration; do \
		SECONDS=0; \
		$(MAKE) --no-print-directory $$step || { echo "--- test: $$step FAILED; passed before it:$${steps:- none}"; exit 1; }; \
		steps="$$steps $$step ($${SECONDS} s)"; \
	done; \
	echo "--- test: all passed:$$steps"

check: static unit ## what needs no Kafka: lint, types, imports, unit

# Side by side: on a new checkout, types and kernels take the better part of a minute of one core each.
static: env ## lint, types and imports, while kernels are compiled
	@$(MAKE) --no-print-directory --jobs=2 lint imports types kernels

lint: env ## style, likely bugs, formatting (ruff); GitHub's workflows (zizmor)
	@echo "--- lint: ruff check, ruff format --check, zizmor"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/zizmor --offline --no-progress --quiet --persona=pedantic .github

types: env ## every type, tests included (mypy --strict)
	@echo "--- types: mypy, strict, tests included"
	@$(BIN)/mypy

imports: env ## which package may import which (import-linter)
	@echo "--- imports: the contracts in pyproject.toml"
	@$(BIN)/lint-imports

kernels: .venv/compiled-kernels ## compile what numba compiles: once, not in each process that runs tests

.venv/compiled-kernels: .venv/installed-project $(wildcard $(foreach folder,features gateway models schemas streams training,$(folder)/*.py))
	@echo "--- kernels: sortline warm-up"
	@$(BIN)/sortline warm-up
	@touch $@

unit: kernels ## tests without a broker (ARGS="-k name")
	@echo "--- unit: tests without a broker"
	@$(BIN)/pytest -n $(WORKERS) $(DIST) tests/unit $(ARGS)

integration: kernels ## tests on a real Kafka and registry, which they start themselves (ARGS="-k name")
	@echo "--- integration: tests on a real Kafka and schema registry"
	@$(BIN)/pytest -m integration tests/integration $(ARGS)

# Away from the sources, or Python would import what lies there and not what the wheel brought.
WHEEL_CHECK := build/wheel-check
wheel: env ## build the wheel, install it with the locked packages in an environment of its own, and use it
	@echo "--- wheel: build, install, sample, train, classify"
	@rm -rf dist $(WHEEL_CHECK)
	@$(BIN)/uv build --quiet --wheel --python $(BIN)/python --out-dir dist
	@$(BIN)/uv venv --quiet --python $(BIN)/python $(WHEEL_CHECK)
	@$(BIN)/uv pip install --quiet --require-hashes --python $(WHEEL_CHECK)/bin/python -r requirements.txt
	@$(BIN)/uv pip install --quiet --no-deps --python $(WHEEL_CHECK)/bin/python dist/*.whl
	@cd $(WHEEL_CHECK) && bin/sortline --version \
		&& bin/sortline sample --rows 2000 --to products.parquet \
		&& bin/sortline train --no-tracking --target-precision 0.85 --from products.parquet --to bundle \
		&& bin/sortline classify --model bundle --from products.parquet --to decisions.parquet
	@rm -rf $(WHEEL_CHECK)

retrain: env ## retrain from the catalogue topic, as .github/workflows/train.yml does (ARGS='--if-changed --promote')
	@$(BIN)/sortline retrain $(ARGS)

image: ## build one image to be pushed: make image IMAGE=worker IMAGES=registry.example/shop VERSION=1.2.0
	@docker build --file deploy/Dockerfile --target $(IMAGE) --tag $(IMAGES)/$(IMAGE):$(VERSION) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) .

COMPOSE := docker compose --file deploy/compose.yaml
rollout: ## have deploy/compose.yaml run pushed images: make rollout SORTLINE_IMAGES=… SORTLINE_VERSION=… (DOCKER_HOST: where)
	@$(COMPOSE) pull topics worker gateway
	@$(COMPOSE) run --rm --no-deps topics
	@$(COMPOSE) up --detach --wait --no-build --no-deps worker gateway

api: env ## rewrite docs/api.md from the gateway's OpenAPI document
	@SORTLINE_TEST_WRITE_PAGES=1 $(BIN)/pytest -q tests/unit/gateway/test_api_page.py

bench: env ## CPU and speed beside a pass-through and other frameworks (latency: python benchmarks/latency.py)
	@$(BIN)/python benchmarks/stream.py $(ARGS)

# Universal (every platform and Python we support) and without addresses, so that the lock works with any mirror.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
images: env ## build the container images, and prepare the whole stack (docs/deployment.md)
	@$(BIN)/python -m compose.whole

lock: env ## rewrite requirements.txt and requirements-dev.txt after a change in pyproject.toml (newer: ARGS=--upgrade)
	@$(LOCK) $(ARGS) pyproject.toml --group dev --output-file requirements-dev.txt
	@# Second: what only developers need may hold a package back, and what runs must be what was tested.
	@$(LOCK) pyproject.toml --constraint requirements-dev.txt --output-file requirements.txt
	@$(LOCK) $(ARGS) --group build --output-file deploy/requirements-build.txt
	@$(LOCK) $(ARGS) --group mlflow --constraint requirements.txt --output-file deploy/requirements-mlflow.txt

clean: ## remove .venv and all caches inside the repository
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
