# Everything runs in environments that make sets up by itself. CONTRIBUTING.md says which target to use when.
PYTHON ?= python3
# A Python for which MediaPipe has no release.
PYTHON313 ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
comma := ,
# A process per core. Each gets a stretch of the tests, so that most modules make their fixtures once.
WORKERS := -n $(shell nproc 2>/dev/null || echo 2) --dist worksteal

# Builds the page where there is one.
NODE := $(shell command -v npm 2>/dev/null)

.PHONY: quickstart page check test test-core test-313 test-lowest lint dist docs clean

# Simulates a corpus, trains on it, scores and writes a report, in a few minutes.
quickstart: $(VENV)/.train
	$(BIN)/signloom quickstart --output runs/quickstart --overwrite

# The scripts of `signloom page`, into the package's data. Needs Node.js 20.
PAGE := src/signloom/page/site/index.html
page: $(PAGE)

$(PAGE): web/node_modules/.done $(shell find web/src web/public web/scripts web/index.html web/vite.config.ts LICENSE -type f)
	cd web && npm run --silent build

web/node_modules/.done: web/package-lock.json
	cd web && npm ci --silent --ignore-scripts
	@touch $@

# Linter, types and the fast tests, in about a minute.
check: $(VENV)/.dev lint
	$(BIN)/pytest -q $(WORKERS) -m "not slow"

# Linter, types and every test.
test: $(VENV)/.dev lint
	$(BIN)/pytest $(WORKERS)

# The fast tests that need no optional package, without torch and MediaPipe.
test-core: .venv-core/.done
	.venv-core/bin/pytest -q $(WORKERS) -m "not slow"

# Every test that needs no MediaPipe, on a Python that has none.
test-313: .venv-313/.done
	.venv-313/bin/pytest -q $(WORKERS)

# The tests of test-core with the lowest versions that pyproject.toml allows; EXTRAS=test,train adds torch's.
EXTRAS ?= test
test-lowest: .venv-lowest/.done
	.venv-lowest/bin/pytest -q $(WORKERS) -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Source distribution and wheel in dist/, with the page where there is Node.js. Checks both and runs a short quickstart from the wheel.
dist: $(VENV)/.dev $(if $(NODE),page)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	scripts/try_wheel.sh $(PYTHON) dist/*.whl

# The documentation as a website in site/. Warnings are errors.
docs: .venv-docs/.done
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

# A new environment of a Python, after a look at that Python.
define new_environment
@scripts/check_python.sh $(1)
$(1) -m venv $(2)
endef

$(VENV)/bin/python:
	$(call new_environment,$(PYTHON),$(VENV))

$(VENV)/.train: $(VENV)/bin/python pyproject.toml
	@scripts/check_python.sh $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@scripts/check_python.sh $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.train

.venv-core/.done: pyproject.toml
	$(call new_environment,$(PYTHON),.venv-core)
	.venv-core/bin/python -m pip install --quiet -e '.[test]'
	@touch $@

.venv-313/.done: pyproject.toml
	$(call new_environment,$(PYTHON313),.venv-313)
	.venv-313/bin/python -m pip install --quiet -e '.[all,test]'
	@touch $@

.venv-lowest/.done: pyproject.toml
	$(call new_environment,$(PYTHON),.venv-lowest)
	.venv-lowest/bin/python -m pip install --quiet 'packaging>=23,<27'
	.venv-lowest/bin/python scripts/lowest_versions.py $(subst $(comma), ,$(EXTRAS)) >.venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

.venv-docs/.done: pyproject.toml
	$(call new_environment,$(PYTHON),.venv-docs)
	.venv-docs/bin/python -m pip install --quiet -e '.[docs]'
	@touch $@

clean:
	rm -rf web/node_modules src/signloom/page/site $(VENV) .venv-core .venv-313 .venv-lowest .venv-docs dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
