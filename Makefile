# The project's commands. `make` alone lists them.

PYTHON ?= python3
# Colab has Python 3.12: that one where it is installed (looked for when it is needed).
COLAB_PYTHON ?= $(shell $(PYTHON) tools/pythons.py --find 3.12 || echo $(PYTHON))
BIN := .venv/bin
REPORT := lab3_circuit
# The longest first: then none of them is still running when all others are done.
LONG := $(foreach n,2 8 1 3 4 5 7,$(wildcard notebooks/$(n)_*.ipynb))
COMPANIONS := $(LONG) $(filter-out $(LONG),$(wildcard notebooks/*.ipynb))
NOTEBOOKS := $(wildcard $(REPORT).ipynb) $(COMPANIONS)
# A cell may take this many seconds: the slowest need minutes on two cores.
CELL_TIMEOUT := 1800
# Test files and notebooks that run at a time; each needs up to 3 GB. A file's tests stay together.
AT_ONCE ?= 2
# Each of them computes with its share of the cores: together they would wait for each other.
test test-notebooks: export TF_NUM_INTRAOP_THREADS ?= \
    $(shell $(PYTHON) -c "import os; print(max(1, os.cpu_count() // $(AT_ONCE)))")
# The slowest are listed: that is where time can be saved.
PYTEST = $(BIN)/python -m pytest -q -n $(AT_ONCE) --dist loadfile --durations=25
# What the tests found last, for the grading sheet.
CHECKS := build/checks.xml

# TensorFlow's start-up notices; the set-up cell says the same for other places.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help report reports site grade notebook test test-filters test-notebooks test-browser test-long test-colab test-pythons test-processors mutants lint lab dashboard figures atlas explorer zip data execute clean distclean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

# The notebook's parameters that a call of make may set, as NAME=VALUE.
given = $(foreach name,$(1),$(if $($(name)),"$(name)=$($(name))"))
ASKED = $(call given,NETWORK WEIGHTS LAYER FILTER TOP SEED PROFILE PICTURES SAMPLES CLASSES \
    PREPROCESS)

report: .venv/ready ## run the report; another filter's: make report LAYER=block4_conv2 FILTER=17
ifeq ($(strip $(ASKED)),)
	$(BIN)/python tools/execute.py $(REPORT).ipynb build/$(REPORT).ipynb
	$(BIN)/python tools/export_html.py build/$(REPORT).ipynb build/$(REPORT).html
	$(BIN)/python tools/grade.py $(REPORT).ipynb build $(CHECKS)
else
	$(BIN)/python tools/report.py $(REPORT).ipynb $(ASKED)
endif

reports: .venv/ready ## run many and rank them: make reports LAYER=block3_conv2 FILTERS=0-15
	$(BIN)/python tools/reports.py $(REPORT).ipynb $(ASKED) \
	    $(call given,FILTERS SCHEDULER WORKERS)

site: .venv/ready ## pages of the committed notebooks, with links between them, in build/site/
	rm -rf build/site
	$(BIN)/python tools/site.py build/site

notebook: .venv/ready ## run a companion on your picture or filter: make notebook N=2 IMAGE=cat.jpg
	$(BIN)/python tools/companion.py "$(N)" $(call given,IMAGE SEED LAYER FILTER)

# Run a notebook again and compare what it prints.
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg \
    --nbval-cell-timeout $(CELL_TIMEOUT) --nbval-kernel-startup-timeout 180

test: .venv/ready-dev ## run the tests and re-check every number the report prints
	$(PYTEST) $(wildcard $(REPORT).ipynb) tests --ignore=tests/browser $(NBVAL) \
	    --junitxml=$(CHECKS)

grade: .venv/ready-dev ## the same tests, then the grading sheet build/grade.md with their results
	$(MAKE) test; found=$$?; \
	    $(BIN)/python tools/grade.py $(REPORT).ipynb build $(CHECKS) && exit $$found

test-notebooks: .venv/ready-dev ## re-check every number the companions print
	$(PYTEST) --no-loadscope-reorder $(COMPANIONS) $(NBVAL)

test-browser: .venv/ready-dev ## the page and the dashboard in a real browser (chromium)
	$(PYTEST) tests/browser

test-filters: .venv/ready-dev ## (minutes) run the report on eight other filters
	VIZUTILS_LONG=1 $(BIN)/python -m pytest -q -s tests/test_filters.py

# Whatever a test file keeps for VIZUTILS_LONG, with what it measured.
test-long: .venv/ready-dev ## (an hour) all tests, the long ones too: fuzzing, memory, recipes
	VIZUTILS_LONG=1 $(BIN)/python -m pytest -q -rP tests --ignore=tests/browser

test-colab: .venv-colab/ready ## (minutes) the tests with the versions that Colab has
	.venv-colab/bin/python -m pytest -q -n $(AT_ONCE) --dist loadfile tests --ignore=tests/browser

# It needs no environment: each clone makes its own.
test-pythons: ## (an hour) fresh clones of HEAD, make report and make test, with each Python here
	$(PYTHON) tools/pythons.py $(PYTHONS)

test-processors: .venv/ready-dev ## (hours) the notebooks as other processors run them; NOTEBOOKS=... chooses
	$(BIN)/python tools/processors.py $(NOTEBOOKS) $(if $(SETTINGS),--settings "$(SETTINGS)")

mutants: .venv/ready-dev ## (half an hour) put deliberate faults into a copy; tests must find all
	$(BIN)/python -m tools.mutants $(if $(JOBS),--jobs $(JOBS))

lint: .venv/ready-dev ## check the style of the code, the notebooks' too
	$(BIN)/ruff check .

lab: .venv/ready ## open the report in JupyterLab
	$(BIN)/python -m tools.serve lab $(REPORT).ipynb

dashboard: .venv/ready-dev ## the dashboard in a browser, on a page of its own (Voilà)
	$(BIN)/python -m tools.serve dashboard

figures: .venv/ready ## run the report and renew the committed pictures in figures/
	VIZUTILS_FIGURES=figures $(BIN)/python tools/execute.py $(REPORT).ipynb build/$(REPORT).ipynb

atlas: LAYER ?= block3_conv1
atlas: .venv/ready ## draw every filter of a layer: make atlas LAYER=block3_conv1
	$(BIN)/python tools/atlas.py $(LAYER)

# Layers that are named are drawn and analysed; interrupted, the same command goes on from there.
explorer: .venv/ready ## pages of every filter: make explorer LAYERS="block3_conv1 block3_conv2"
	$(BIN)/python -m tools.explorer build/explorer \
	    $(call given,LAYERS NETWORK WEIGHTS PICTURES CLASSES SCHEDULER WORKERS)

zip: .venv/ready ## what a run on Colab needs, in build/lab3-circuit.zip
	$(BIN)/python -m tools.bundle build/lab3-circuit.zip

data: .venv/ready ## fetch weights and pictures now instead of at first use
	$(BIN)/python -m data.fetch

execute: .venv/ready ## (authors) restart, run all and save: the only way notebooks change
	for notebook in $(NOTEBOOKS); do \
	    $(BIN)/python tools/execute.py $$notebook $$notebook || exit 1; done

clean: ## remove what was built, but keep .venv and the downloads
	rm -rf build .pytest_cache .ruff_cache *.egg-info
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d \
	    -exec rm -rf {} +

distclean: clean ## remove .venv and the downloads too
	rm -rf .venv .venv-colab data/cache

# The environment. Each stamp is newer than what it was installed from, so that
# a second call installs nothing.
.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	    echo "This project needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is" \
	         "$$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

.venv-colab/ready: requirements-colab.txt requirements-dev.txt requirements.txt pyproject.toml
	test -x .venv-colab/bin/pip || $(COLAB_PYTHON) -m venv .venv-colab
	.venv-colab/bin/python -m pip install --quiet --requirement requirements-dev.txt \
	    --constraint requirements-colab.txt
	.venv-colab/bin/python -m pip install --quiet --no-deps --editable .
	touch $@
