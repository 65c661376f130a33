# Four commands that set up .venv by themselves: make demo, make test, make check, make bench.

PYTHON ?= python3.11
PIP_FLAGS ?= --quiet --disable-pip-version-check
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
TEXT_MINUTES ?= 2.5
MUSIC_MINUTES ?= 3.5

# Prints a command, then runs it with the environment's programs first in the path.
show = @echo; echo '$$ $(1)'; PATH="$(CURDIR)/$(BIN):$$PATH" $(1)

.PHONY: help demo test check bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train on Shakespeare and on Bach chorales, then write text and MIDI (7 minutes)"
	@echo "make test    run the tests"
	@echo "make check   lint, check formatting and types, check that the generated docs are up to date"
	@echo "make bench   measure speed"

$(STAMP): pyproject.toml constraints.txt
	@python=$(PYTHON); \
	is_new='import sys; sys.exit(sys.version_info < (3, 11))'; \
	"$$python" -c "$$is_new" 2>/dev/null || python=python3; \
	"$$python" -c "$$is_new" 2>/dev/null || { \
	  echo "error: python: 3.11 or newer is needed ($$($$python --version 2>&1 || echo none found))" >&2; \
	  echo "hint: make PYTHON=/path/to/python3.11" >&2; exit 2; }; \
	echo "setting up $(VENV) with $$($$python --version) (once; some minutes)"; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt hatchling editables 2>$(VENV)/pip.log \
	  && $(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --no-build-isolation \
	     --editable '.[dev]' 2>>$(VENV)/pip.log \
	  || { cat $(VENV)/pip.log >&2; exit 1; }
	@$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --no-deps --only-binary :all: tinysoundfont \
	  2>>$(VENV)/pip.log || echo "tinysoundfont has no wheel for this machine: all but .wav can be written"
	@touch $@

demo: $(STAMP)
	@rm -rf checkpoints/demo-shakespeare checkpoints/demo-chorales
	@mkdir -p demo
	@echo "Trains two models on this machine, $(TEXT_MINUTES) and $(MUSIC_MINUTES) minutes, and lets each of them write."
	$(call show,gen train shakespeare --run demo-shakespeare --minutes $(TEXT_MINUTES))
	$(call show,gen train chorales --run demo-chorales --minutes $(MUSIC_MINUTES))
	$(call show,gen sample demo-shakespeare --prompt "ROMEO:" --length 600 --temperature 0.7 --stats)
	$(call show,gen sample demo-chorales --length 1000 --temperature 0.8 --seed 1 --out demo/chorale.json --stats)
	$(call show,gen export demo/chorale.json --out demo/chorale.mid)
	$(call show,gen export demo/chorale.json --out demo/chorale.png)
	@echo; echo "Listen to demo/chorale.mid, look at demo/chorale.png."
	@echo "More from the same models: .venv/bin/gen sample demo-shakespeare --prompt JULIET: --temperature 0.8"

test: $(STAMP)
	@$(BIN)/python -m pytest -q -n auto

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python docs/build.py --check

bench: $(STAMP)
	$(call show,gen bench)
	$(call show,python benchmarks/sampling.py)
	$(call show,python benchmarks/prepare_text.py --mebibytes 64)

clean:
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
