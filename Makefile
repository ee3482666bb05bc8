# The one entry for people and CI. Needs Python 3.11 or newer with venv, Rust (cargo), make and a linker; the rest is
# installed into .venv from the lock files. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
ENGINE := router/_engine.abi3.so
ENGINE_SOURCES := $(shell find router/engine-rs -name target -prune -o \( -name '*.rs' -o -name 'Cargo.toml' \) -print) \
  Cargo.toml Cargo.lock
LOADTEST_NATIVE := loadtest/_native.abi3.so
LOADTEST_SOURCES := $(shell find loadtest/native -name target -prune -o \( -name '*.rs' -o -name 'Cargo.toml' \) -print) \
  Cargo.toml Cargo.lock
WHEEL := dist/built
WHEEL_SOURCES = $(ENGINE_SOURCES) pyproject.toml $(shell find router -name engine-rs -prune -o -type f \
  -not -name '*.so' -not -name '*.pyc' -print)
CARGO := $(shell command -v cargo || echo $(HOME)/.cargo/bin/cargo)
FUZZ_SECONDS ?= 60
BENCH_RUNS ?= 5
export PATH := $(CURDIR)/$(BIN):$(dir $(CARGO)):$(PATH)
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup engine run wheel fmt lint types test test-rs test-py test-programs chart chart-tools bench loadtest-native fuzz soak lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

setup: $(INSTALLED) engine loadtest-native ## Create .venv with the locked dependencies, build engine and load test

$(INSTALLED): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d; try make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@

engine: $(ENGINE) ## Build the engine, if its sources changed

$(ENGINE): $(ENGINE_SOURCES) pyproject.toml | $(INSTALLED)
	@test -x "$(CARGO)" || { echo "cargo is needed: https://rustup.rs" >&2; exit 1; }
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --skip-install
	touch $@

loadtest-native: $(LOADTEST_NATIVE) $(BIN)/router-loadtest ## Build the native part of the load test

$(LOADTEST_NATIVE): $(LOADTEST_SOURCES) | $(INSTALLED)
	PYO3_BUILD_EXTENSION_MODULE=1 CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	  $(CARGO) build --release --locked --package router-loadtest-native --features python \
	  --target-dir target/loadtest  # maturin configures pyo3 otherwise: in one folder each would build it again
	cp target/loadtest/release/librouter_loadtest_native.so $@.new
	mv $@.new $@

$(BIN)/router-loadtest: loadtest/router-loadtest | $(INSTALLED)
	ln --symbolic --force ../../$< $@

run: setup ## Serve the demo room on http://127.0.0.1:8080 (development mode, loopback only)
	$(BIN)/python -m router serve --dev

wheel: $(WHEEL) ## Build the wheel into dist/

$(WHEEL): $(WHEEL_SOURCES) | $(INSTALLED)
	rm -rf dist
	$(BIN)/maturin build --release --locked --out dist
	touch $@

fmt: $(INSTALLED) ## Format all code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet . || true
	$(CARGO) fmt --all

lint: setup ## Formatting, lints, types, file sizes and the direction of dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(CARGO) fmt --all --check
	$(MAKE) --no-print-directory types
	$(BIN)/python -m pytest --quiet tests/test_architecture.py
	$(CARGO) clippy --locked --all-targets --all-features -- --deny warnings

types: setup ## mypy --strict, and the engine against its stub
	$(BIN)/mypy
	$(BIN)/mypy helm/generate.py helm/schemas.py helm/fork-router/files/arrange.py
	$(BIN)/mypy config/grafana/generate.py
	$(BIN)/python -m mypy.stubtest --allowlist tests/stubtest_allowlist.txt router._engine

test: test-rs test-py ## All tests

test-rs: $(INSTALLED) ## The engine's tests, without Python
	$(CARGO) test --locked --workspace

test-py: setup wheel test-programs ## The Python tests, with real browsers and Redis where they are installed
	tests/run -m "not soak and not alone" --numprocesses 2 --dist worksteal
	tests/run -m "not soak and alone"

test-programs: ## Install what the tests use, as root on Debian; elsewhere those tests are skipped by name
	@tests/install-programs

chart: setup ## Write the chart's schema and README from its values, the dashboards from their panels
	$(BIN)/python -m helm.generate
	$(BIN)/python config/grafana/generate.py

chart-tools: setup ## Build helm, kubeconform and promtool and get Kubernetes' schemas, for the chart's tests (needs Go; once)
	@helm/install-tools

bench: setup ## The aim table of the load test beside other servers; then joins, rooms of all sizes, switching
	$(BIN)/router-loadtest table --runs $(BENCH_RUNS)
	for bench in loadtest/bench_*.py; do $(BIN)/python -m "loadtest.$$(basename "$$bench" .py)"; done

fuzz: setup ## Fuzz every parser, FUZZ_SECONDS (60) each
	$(BIN)/python -m tests.fuzz.fuzz_sdp $(FUZZ_SECONDS)
	router/engine-rs/fuzz/run $(FUZZ_SECONDS)

soak: setup ## Long runs: joins and leaves, switches, streams whose numbers wrap many times (SOAK_SEED repeats one)
	$(CARGO) test --locked --package fork-router-engine --test core wraps -- --ignored
	$(BIN)/python -m pytest -m soak --timeout 0

lock: $(INSTALLED) ## Update the lock files
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	  --custom-compile-command "make lock" --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	  --constraint requirements.lock --custom-compile-command "make lock" --output-file requirements-dev.lock

clean: ## Remove everything that was built
	rm -rf $(VENV) target dist build router/_engine*.so loadtest/_native*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/e2e/output
	find router tests loadtest -name __pycache__ -type d -prune -exec rm -rf {} +
