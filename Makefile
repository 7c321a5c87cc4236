# Every target sets up what it needs on a fresh machine and then runs.
# `make test` is what CI runs; its last line is the closing line of pytest.

BIN := .venv/bin
BENCHMARKS := main_path large_files working_branch changes switching stock_git

.PHONY: help setup test conformance check lint types unit demo bench docs clean

help:
	@echo 'make demo    import real data, mount it, train from the mount, commit, tag, mount again'
	@echo 'make test    everything CI runs: set-up, lint, format, types, tests'
	@echo 'make check   lint, format and types only'
	@echo 'make conformance   thousands of cases on a mount and on ext4, some minutes'
	@echo 'make bench   the measurements behind docs/benchmarks.md'
	@echo 'make docs    write docs/cli from the commands themselves'
	@echo 'make clean   remove what was built; the virtual environment stays'

setup:
	@scripts/setup.sh

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: lint types

unit: setup
	CI=1 $(BIN)/python -m pytest

test: check unit

demo: setup
	@$(BIN)/python demo/demo.py

conformance: setup
	MLBFS_CONFORMANCE=full $(BIN)/python -m pytest -o faulthandler_timeout=3600 \
	  tests/conformance tests/mount/test_semantics.py

bench: setup
	set -e; for script in $(BENCHMARKS); do $(BIN)/python benchmarks/$$script.py; done

docs: setup
	$(BIN)/python scripts/write_cli_reference.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks mlbfs/*.so
	rm -f .venv/.mlbfs-setup
	find mlbfs tests benchmarks demo scripts -name __pycache__ -type d -exec rm -rf {} +
