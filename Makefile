# FrugalFL. `make demo` and `make test` set themselves up; nothing but Python 3.11 and make is needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ZIG := .wheels
PIP := $(BIN)/python -m pip --disable-pip-version-check
CODE := shared client server edge simulations tests benchmarks .ci

.PHONY: help demo fraud test test-slow test-keras test-browser lint types bench core check-core wheels audit lock clean
.DEFAULT_GOAL := help

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.sim core ## train on digits, export to int8, prove it, write the report
	@$(BIN)/frugalfl simulate simulations/digits --baseline

fraud: $(VENV)/.fraud core ## card fraud over eight branches: every method compared; DATA=FOLDER: your files
	@$(BIN)/python simulations/fraud/pilot.py $(if $(DATA),--data $(DATA)) $(ARGS)

test: $(VENV)/.dev core ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev core ## run the tests that take minutes
	@$(BIN)/python -m pytest -m slow

test-keras: $(VENV)/.keras core ## install TensorFlow (1.3 GB) and run the tests of Keras models
	@$(BIN)/python -m pytest -m keras

test-browser: $(VENV)/.dev core ## run training programs in headless Chromium (needs npm and chromium)
	@$(BIN)/python -m pytest -m browser

lint: $(VENV)/.dev ## check style, formatting, bandit's rules and the import rules
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/lint-imports

types: $(VENV)/.dev ## check types, strictly
	@$(BIN)/mypy
	@$(BIN)/mypy simulations/digits/task.py
	@$(BIN)/mypy simulations/fraud/task.py simulations/fraud/pilot.py
	@MYPYPATH=.ci:shared/core $(BIN)/mypy .ci/audit.py .ci/lock.py .ci/wheels.py

bench: $(VENV)/.dev core ## measure every figure of the documents again (hours), and make their tables
	@$(BIN)/python benchmarks/tables.py --commands | PATH="$(CURDIR)/$(BIN):$$PATH" sh -ex
	@$(BIN)/python benchmarks/tables.py

core: $(VENV)/.sim ## compile the C core anew if its files have changed
	@$(BIN)/python shared/core/build.py > /dev/null

check-core: $(VENV)/.dev $(ZIG)/.tools core ## the core makes the same bytes on five kinds of machine (needs QEMU and Node)
	@ZIG="$(CURDIR)/$(ZIG)/bin/python -m ziglang" $(BIN)/python -m pytest -m slow tests/core

wheels: $(ZIG)/.tools ## cross-compile with zig into dist/: wheels, core.wasm, microcontrollers; ONLY=NAME: one
	@$(ZIG)/bin/python .ci/wheels.py $(if $(ONLY),--only $(ONLY)) $(ARGS)

audit: $(VENV)/.dev ## look for secrets, shells, odd files, bandit's findings and known vulnerabilities
	@$(BIN)/python .ci/audit.py

lock: $(VENV)/.keras ## write the lists of exact versions, those of server and device with hashes
	@$(BIN)/python .ci/lock.py

clean: ## remove the environment and the caches; runs are kept
	rm -rf $(VENV) $(ZIG) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# Installing is two steps, so that `make demo` does not wait for the developers' tools.
$(VENV)/.sim: pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (2.8 GB, a few minutes the first time) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FrugalFL needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[sim]'
	@touch $@

$(VENV)/.fraud: $(VENV)/.sim
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[sim,fraud]'
	@touch $@

$(VENV)/.dev: $(VENV)/.sim
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.keras: $(VENV)/.dev
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[keras]'
	@touch $@

# What cross-compiles, in an environment of its own; shared/core/platforms.py says which versions.
$(ZIG)/.tools: shared/core/platforms.py
	@echo "Installing zig into $(ZIG) (460 MB) ..."
	@test -d $(ZIG)/bin || $(PYTHON) -m venv $(ZIG)
	@$(ZIG)/bin/python -m pip --disable-pip-version-check install --quiet \
		$$($(PYTHON) -c 'import sys; sys.path.insert(0, "shared/core"); import platforms; print(*platforms.TOOLS)')
	@touch $@
