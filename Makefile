# Two commands do all: `make demo` and `make test`. Each makes what it needs, from Python 3.11 on.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Paths are relative on purpose: the checkout may stand in a folder with spaces.
VENV := .venv
PY := $(VENV)/bin/python
NEXUS := $(VENV)/bin/nexus
HOT := $(wildcard domain/matching/auction.py domain/matching/book.py projections/market_data/fanout.py api/fix/codec.py)
# Tests that run a hot module in their own process, the desk's among them: once compiled and once
# interpreted. What an interpreted module would be asked over a socket it is asked here.
HOT_TESTS := tests/unit tests/property
HOT_WORDS := domain\.matching|market_data\.fanout|fix\.codec|tests\.model\.([a-z_]*(desk|flow|venue)|naive_|memory_writer|second_books|recorded_day)

# Bytecode is kept, whatever the environment says: the tests start some hundred commands.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest
# A worker a core, at most four: each has a PostgreSQL of its own. A file stays with one worker.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
WORKERS ?= $(if $(filter 1 2 3,$(CORES)),$(CORES),4)
SIDE_BY_SIDE := $(if $(filter-out 0 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder)
PORT ?=
ONCE ?=

.PHONY: help demo test check bench build lock clean distclean

help: ## Say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r what why; do \
	    printf '%-15s %s\n' "$$what" "$$why"; done
	@echo
	@echo 'make demo ONCE=1 ends after the run; make demo PORT=9000 listens there.'

demo: build ## Start the venue, trade on it, and keep serving
	@exec $(NEXUS) demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

test: build check ## Check and test everything, compiled and interpreted
	@$(PYTEST) -q $(SIDE_BY_SIDE)
	@if grep -q . <<<'$(HOT)'; then \
	    echo 'Once more, interpreted: the tests of the hot modules'; \
	    grep -rlE --null --include='test_*.py' '$(HOT_WORDS)' $(HOT_TESTS) \
	      | NEXUS_IMPL=interpreted xargs -0 -r $(PYTEST) -q $(SIDE_BY_SIDE) -m 'not crash and not slow'; fi

check: build ## Check style, types and the direction of imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

bench: build ## Measure the real thing
	@$(NEXUS) bench all

build: $(VENV)/.compiled ## Make the virtual environment and compile the hot modules

# `optional` extensions: without a compiler this leaves no file behind, and the .py runs.
$(VENV)/.compiled: $(VENV)/.installed $(HOT)
	@$(PY) -m infrastructure.hot_modules || { \
	    echo 'Compiling the hot modules'; \
	    $(PY) setup.py -q build_ext --inplace -j $(CORES) >build.log 2>&1 || { cat build.log; exit 1; }; \
	    rm -f build.log; \
	    $(PY) -m infrastructure.hot_modules || echo 'Not compiled: the hot modules run interpreted.'; }
	@touch $@

# What is installed is what the lock file says, byte for byte; of this checkout nothing is fetched.
PIP := $(PY) -m pip install -q --disable-pip-version-check --root-user-action=ignore
$(VENV)/.installed: pyproject.toml requirements.lock setup.py infrastructure/hot_modules.py \
    | $(VENV)/bin/python
	@echo 'Installing NexusTrade and what it needs into $(VENV)'
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

# For every Python and platform at once, from the ranges in pyproject.toml: read what has changed.
lock: | $(VENV)/bin/python ## Renew the lock file of what is installed
	@$(PY) -m venv build/lock
	@build/lock/bin/python -m pip install -q --disable-pip-version-check uv
	@build/lock/bin/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 \
	    --extra test --no-header --no-annotate -o requirements.lock pyproject.toml
	@rm -rf build/lock

$(VENV)/bin/python:
	@python=''; \
	for one in python3.13 python3.12 python3.11 python3 python3.14 python; do \
	    if "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$one; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo 'NexusTrade needs Python 3.11 or newer, and none was found. Type one of:' >&2; \
	    echo '    apt-get install python3 python3-venv    (Debian 12, Ubuntu 24.04 and newer)' >&2; \
	    echo '    dnf install python3.11                  (Fedora, Rocky, Alma)' >&2; \
		    exit 1; fi; \
	echo "Making $(VENV) with $$("$$python" -V)"; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    echo 'This Python cannot make virtual environments. Type:' >&2; \
	    echo "    $$([ "$$(id -u)" = 0 ] || echo 'sudo ')apt-get install python$$version-venv" >&2; \
	    exit 1; fi; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV)

clean: ## Remove what was built and cached
	@rm -rf build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis build.log
	@rm -f $(foreach source,$(HOT),$(wildcard $(source:.py=.*.so)))
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@rm -f $(VENV)/.compiled

distclean: clean ## Remove the virtual environment too
	@rm -rf $(VENV)
