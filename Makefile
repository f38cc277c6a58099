# make study            the study's default profile, set-up included, to results/laptop/report/index.html
# make test             the tests, set-up included; COVERAGE=yes adds which lines of cmgan/ and data_prep/ they run
# make torture          faults made on purpose, to docs/faults.md; FORM=short: those that make test makes too
# make study PROFILE=study CORPUS=<folder with clean/ and noisy/>  CONFIG="epochs=2 seeds=[0]"
# make plan             what PROFILE would cost on this machine, from a few measured steps
# make lab              JupyterLab on the notebooks
# make figures          redraw PROFILE's figures and report, without training
# make figures RUN=results/reference STYLE=slides   all figures of a finished or kept run, drawn again in a style
#                       (paper or slides) into RUN/figures-STYLE or OUT=<folder>, with a page that shows them
# make bench            speed as ratios
PYTHON  ?= python3
PROFILE ?= laptop
CORPUS  ?=
CONFIG  ?=
CORES   ?= all
CLUSTER ?=
SHARE   ?=
RUN     ?=
STYLE   ?= paper
OUT     ?=
FORM    ?= full
COVERAGE ?=

BIN       := .venv/bin
INSTALLED := .venv/installed
# The tests are shared out among the cores, a few of them: each process holds torch.
PYTEST    := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# What study and plan take.
ASKED = $(PROFILE) $(if $(CORPUS),--corpus "$(CORPUS)") $(foreach setting,$(CONFIG),--config '$(setting)')

.PHONY: study plan test torture lab figures bench lint environment

study: $(INSTALLED)
	@$(BIN)/python -m cmgan.study.pipeline $(ASKED) --cores $(CORES) $(if $(CLUSTER),--cluster $(CLUSTER)) \
	  $(if $(SHARE),--share $(SHARE))

plan: $(INSTALLED)
	@$(BIN)/python -m cmgan.study.pipeline.plan $(ASKED)

test: $(INSTALLED)
	@$(PYTEST) $(if $(COVERAGE),--cov)

torture: $(INSTALLED)
	@$(PYTEST) tests/torture $(if $(filter short,$(FORM)),,-m "torture or not torture" --faults docs/faults.md)

lab: $(INSTALLED)
	@$(BIN)/jupyter lab --notebook-dir .

figures: $(INSTALLED)
ifeq ($(RUN),)
	@$(BIN)/python -m cmgan.study.pipeline $(ASKED) --redraw --cores $(CORES)
else
	@$(BIN)/python -m cmgan.study.report.redraw "$(RUN)" --style "$(STYLE)" $(if $(OUT),--out "$(OUT)")
endif

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks

lint: $(INSTALLED)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Of several calls at once the first sets up, the others wait for it.
$(INSTALLED): requirements.lock pyproject.toml
	@flock .setup.lock sh -c '[ $@ -nt requirements.lock ] && [ $@ -nt pyproject.toml ] \
	  || $(MAKE) --no-print-directory environment'

# requirements.lock is installed whole, so that every machine runs the same versions; the package itself is linked.
# What an interrupted set-up left is cleared: it may be of another Python.
environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: call make PYTHON=<a newer one>"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) has no venv module: install it (Debian: apt install python3-venv)"; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null \
	  || { echo "pesq is compiled on installation: install a C compiler (Debian: apt install gcc python3-dev)"; exit 1; }
	@echo "Setting up .venv from requirements.lock: some minutes, once"
	@$(PYTHON) -m venv $(if $(wildcard $(INSTALLED)),,--clear) .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(INSTALLED)
