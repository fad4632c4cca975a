# The two commands: `make up` brings manifests/dev-kim.yaml up to green gates, `make test` runs every test.
PYTHON ?= python3
MANIFEST ?= manifests/dev-kim.yaml
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: up down test faults check audit bench lock install clean

up: $(INSTALLED)  ## Install, and bring $(MANIFEST) up to green gates.
	$(BIN)/txplan apply $(MANIFEST) --auto-approve

down: $(INSTALLED)  ## Destroy $(MANIFEST).
	$(BIN)/txplan destroy $(MANIFEST) --confirm $(notdir $(basename $(MANIFEST)))

test: $(INSTALLED)  ## Install, and run every test.
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

faults: $(INSTALLED)  ## Put the running service through every fault, and print how long each took to recover from.
	FAULTS=all $(BIN)/pytest tests/faults

check: $(INSTALLED)  ## Style, types and the lines between packages.
	$(BIN)/ruff check .
	$(BIN)/mypy engine streamapp
	$(BIN)/lint-imports

audit: $(INSTALLED)  ## Hold the pinned dependencies against published advisories; fails where it cannot look them up.
	$(BIN)/python -m tests.support.advisories

bench: $(INSTALLED)  ## Measure against what else one would use.
	for bench in backfill stream api cli plans reconcile azure; do $(BIN)/python -m tests.bench.bench_$$bench || exit 1; done
	$(BIN)/python -m tests.bench.bench_sustained --seconds 60 --stop 20

lock: $(INSTALLED)  ## Pin all dependencies anew, with hashes and without the name of any index.
	$(BIN)/python -m uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -q pyproject.toml --all-extras --group dev -o requirements.lock

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "txplan needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:  ## Remove what make made; destroy environments first.
	rm -rf .venv dist
