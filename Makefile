.DEFAULT_GOAL := help
PYTHON ?= python3
TRACES ?= ../shared/traces
ARGS ?=
READY := .venv/.ready
COMPAT := .venv/.compat
OPENAI2 := .venv-openai2/.ready
BENCH := .venv-bench/.ready
PEERS := .venv-bench-peers/.ready
RESULTS := build/compat
BIN := .venv/bin

.PHONY: help demo test server compat compat-main compat-openai2 generated lint format bench wheel clean

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'otelbudget needs Python 3.11 or newer as "$(PYTHON)"; choose another with: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'this Python has no venv or ensurepip; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Setting up .venv (once; about a minute) ...'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev
	@touch $@

demo: $(READY) ## Stop a runaway run live, then audit, simulate and suggest on sample_traces
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/demo.py

test: $(READY) ## Run the tests (TRACES=DIR: real traces to read; ARGS=...: for pytest)
	@OTELBUDGET_TRACES="$(abspath $(TRACES))" $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not server and not compat' $(ARGS)

server: $(READY) ## Run the tests that need a server program, such as prometheus
	@$(BIN)/python -m pytest -m server $(ARGS)

$(COMPAT): $(READY)
	@echo 'Adding the packages of tests/compat to .venv (once) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev --group compat
	@touch $@

$(OPENAI2): $(READY)
	@echo 'Setting up .venv-openai2 (once; about a minute) ...'
	@$(PYTHON) -m venv .venv-openai2
	@.venv-openai2/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-openai2/bin/python -m pip install --quiet --disable-pip-version-check -e . --group compat-openai2
	@touch $@

compat: compat-main compat-openai2 ## Run real packages against the fake provider: stops hold, spend equals the bill
	@$(BIN)/python docs/make_compatibility.py --check $(RESULTS)

compat-main: $(COMPAT) ## The part of it with openai 3 (ARGS=...: for pytest)
	@rm -rf $(RESULTS)/main
	@OTELBUDGET_COMPAT_RESULTS=$(RESULTS) $(BIN)/python -m pytest -p no:langsmith_plugin -n 2 --dist loadgroup -m compat tests/compat $(ARGS)

compat-openai2: $(OPENAI2) ## The part of it with openai 2: litellm and openlit (ARGS=...: for pytest)
	@rm -rf $(RESULTS)/openai2
	@OTELBUDGET_COMPAT_RESULTS=$(RESULTS) .venv-openai2/bin/python -m pytest -p no:langsmith_plugin -n 2 --dist loadgroup -m compat tests/compat $(ARGS)

lint: $(READY) ## Check format, style, types and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy --explicit-package-bases tests examples docs dashboards
	@$(BIN)/mypy sample_traces/*.py
	@$(BIN)/lint-imports

generated: $(READY) ## Check that generated files are what their programs write
	@$(BIN)/python sample_traces/make.py --check
	@$(BIN)/python dashboards/make.py --check
	@$(BIN)/python docs/make_cli.py --check

format: $(READY) ## Rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(BENCH): $(READY)
	@echo 'Setting up .venv-bench (once; about a minute) ...'
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e . --group bench
	@touch $@

$(PEERS): $(READY)
	@echo 'Setting up .venv-bench-peers (once; about a minute) ...'
	@$(PYTHON) -m venv .venv-bench-peers
	@.venv-bench-peers/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-bench-peers/bin/python -m pip install --quiet --disable-pip-version-check --group bench-peers || \
		echo 'tracelift and tokenjam cannot be installed here: they are left out' >&2
	@touch $@

bench: $(BENCH) $(PEERS) ## Measure speed beside its anchors (ARGS='--size full audit': parts and sizes; ARGS=--help)
	@.venv-bench/bin/python -m tests.benchmarks $(ARGS)

wheel: $(READY) ## Build the wheel, install it apart from the sources and use it
	@rm -rf dist && $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .
	@$(PYTHON) tests/check_wheel.py dist/*.whl

clean: ## Remove what the targets made
	@rm -rf .venv .venv-bench .venv-bench-peers .venv-openai2 build dist .mypy_cache .ruff_cache
