# Every target sets up what it needs; the first one makes .venv. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
EXTRAS ?= dev

.DEFAULT_GOAL := help
.PHONY: help demo test chaos chaos-exporter drill fuzz check format generate lock images bench docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "limelight needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY) ## Run the main job on an embedded Redis (Ctrl-C ends it)
	@$(BIN)/limelight demo $(ARGS)

test: $(READY) ## Run all tests, against real servers where they are found
	@$(BIN)/python -m pytest $(ARGS)

chaos: $(READY) ## Kill, stall and confuse everything for five minutes, then account for every task
	@PYTHONPATH=tests:tests/support $(BIN)/python -m chaos $(ARGS)

chaos-exporter: $(READY) ## Kill exporters, Redis and workers while tasks are counted, and check every counter
	@PYTHONPATH=tests:tests/support $(BIN)/python -m chaos_exporter $(ARGS)

drill: $(READY) ## Break each thing for real, and see the right alert reach Alertmanager and go
	@PYTHONPATH=tests:tests/support:deploy/prometheus $(BIN)/python -m drill $(ARGS)

fuzz: $(READY) ## Feed a million hostile events, requests and settings files to the exporter (INPUTS=…)
	@FUZZ_INPUTS=$(or $(INPUTS),1000000) FUZZ_EXAMPLES=$(or $(EXAMPLES),5000) \
	  $(BIN)/python -m pytest --timeout=0 tests/unit/exporter/test_exporter_decoder_fuzz.py tests/unit/exporter/test_web_fuzz.py $(ARGS)

check: $(READY) ## Lint, types and the floor plan
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(READY) ## Regenerate dashboards, rules and the chart's copies
	@$(BIN)/python grafana/generate.py
	@PYTHONPATH=deploy/prometheus $(BIN)/python -m alerting
	@$(BIN)/python deploy/images.py
	@$(BIN)/python deploy/chart_files.py

lock: $(READY) ## Lock the versions that the image installs
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/python deploy/lock.py

images: $(READY) ## Look up the digests of the images that we name (needs docker)
	@$(BIN)/python deploy/images.py --resolve

bench: $(READY) ## Measure the queue against its peers, and the exporter (ARGS=--help)
	@$(BIN)/python bench/run.py $(ARGS)

docs: $(READY) ## Check the documentation, and build it as a site in .site/site (ARGS=serve to look at it)
	@$(BIN)/python docs/check.py
	@$(BIN)/python -c 'import zensical' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@$(BIN)/python docs/build.py $(ARGS)

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .site .bench-venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
