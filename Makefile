# Every task of the project. `make demo` and `make test` do all set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
COOLDOWN_DAYS := 7

.PHONY: help demo test faults lint types format bench bench-log lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Concordat needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## Play the scenarios against a real gateway on loopback (ARGS=--exit to stop afterwards)
	$(BIN)/concordat demo $(ARGS)

test: $(READY) lint types ## Run every check and every test
	$(BIN)/python -m tests.side_by_side $(ARGS)

lint: $(READY) ## Check style and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY) ## Check types
	$(BIN)/mypy

format: $(READY) ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(READY) ## Inject every fault into the audit log, and print a table of failures (needs strace)
	$(BIN)/python -m pytest -m fault --faults --timeout=1800 $(ARGS)

bench: $(READY) ## Measure CPU per exchange beside nginx (needs nginx and wrk)
	$(BIN)/python -m tests.bench $(ARGS)

bench-log: $(READY) ## Measure what a log of a million records costs to write, prove and verify
	$(BIN)/python -m tests.bench_log $(ARGS)

lock: $(READY) ## Pin the newest dependencies that are at least a week old
	before=$$(date -u -d '$(COOLDOWN_DAYS) days ago' +%Y-%m-%d) && for extra in '' dev; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-header --no-annotate --upgrade --exclude-newer $$before $${extra:+--extra $$extra} pyproject.toml \
			--output-file requirements$${extra:+-$$extra}.lock || exit 1; done

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
