# Two commands: `make reproduce` and `make test`. Both start from a fresh clone with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all

.PHONY: reproduce test fast-test docs lint format lock clean

reproduce: $(VENV)/.installed
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --cores 1 --quiet all -- claims

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# Only the tests of seconds: functions, no snakemake runs.
fast-test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/unit

# Everything that is generated and committed: schemas, config/README.md, the README's table and graph.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m headworks docs

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --requirement requirements.lock --requirement requirements-dev.lock
	touch $@

# Resolve the bounds of pyproject.toml anew and pin what comes out.
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --editable .
	(echo "# What 'make reproduce' installs: every package and its exact version. Made by 'make lock'."; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//') > requirements.lock
	$(VENV)-lock/bin/python -m pip install --quiet --editable '.[dev]'
	(echo "# What 'make test' installs on top of requirements.lock. Made by 'make lock'."; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | grep --invert-match --line-regexp --fixed-strings --file requirements.lock) > requirements-dev.lock
	rm -r $(VENV)-lock

clean:
	rm -rf results .snakemake
