# Every command sets itself up: it needs Python >= 3.10 with venv, and make.
PYTHON ?= python3
BIN    := .venv/bin
SETUP  := .venv/.done

.DEFAULT_GOAL := help
.PHONY: help setup train check test sync outputs lab clean

help:     ## list these commands
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(SETUP)   ## make .venv and install the package and its tools in it

train: $(SETUP)   ## train on the 50,000 digits with hand-written gradients
	$(BIN)/mnist-bp train

check: $(SETUP)   ## check every gradient formula in four ways
	$(BIN)/mnist-bp check

test: $(SETUP)    ## notebooks in sync and clean, notebooks run, pytest
	$(BIN)/python tools/sync.py --check
	$(BIN)/nbdev-test --timing
	$(BIN)/pytest

sync: $(SETUP)    ## rewrite what follows from settings.ini and the notebooks: badges, links, package
	$(BIN)/python tools/sync.py

outputs: $(SETUP) ## run every notebook and save its outputs
	$(BIN)/nbdev-test --save
	$(BIN)/python tools/sync.py

lab: $(SETUP)     ## open the notebooks in JupyterLab
	$(BIN)/pip install -q -c constraints.txt jupyterlab
	$(BIN)/jupyter lab nbs

clean:    ## remove the virtual environment and what building left behind
	rm -rf .venv build dist *.egg-info

$(SETUP): settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "mnist_bp needs Python 3.10 or newer; '$(PYTHON)' is missing or older. Try: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
