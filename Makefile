# Two commands do everything from a fresh clone: `make try` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help try install test test-vm check soak bench lock clean setup

BIN := .venv/bin

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 8

try: ## run Privyseal on this machine until Ctrl-C (ARGS="--headless")
	@scripts/setup.sh run
	@$(BIN)/privy try $(ARGS)

install: ## install for this machine, as root (ARGS="--prefix /opt/privyseal")
	@scripts/install.sh $(ARGS)

setup: ## make .venv ready for development
	@scripts/setup.sh dev

check: setup ## format, lint, types, import contracts, unused code, spelling
	@scripts/check.sh

test: setup ## everything of `check`, all tests, coverage, closure and budget
	@scripts/test.sh

test-vm: ## the deployment, in a virtual machine that this builds (ARGS="-k console --keep")
	@scripts/test-vm.sh $(ARGS)

soak: setup ## the same tests with their long counts
	@SOAK=1 $(BIN)/python -m pytest --timeout=3600 $(ARGS)

bench: setup ## benchmarks; writes docs/benchmarks.md
	@$(BIN)/python -m bench $(ARGS)

lock: ## pin the newest packages that pyproject.toml allows
	@scripts/lock.sh

clean: ## remove everything that these commands made
	@rm -rf .venv build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
