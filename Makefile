# make setup | demo | test | lint | smoke; `make help` tells what each does.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup conversions demo test test-slow delegate lint format smoke requirements clean

VENV := .venv
PYTHON ?= $(shell scripts/find-python)
RUN := $(VENV)/bin/python
# Named after what was installed: a changed pin installs anew, an unchanged one costs nothing.
STAMP := $(VENV)/.installed-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)

help:           ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: $(STAMP) ## make .venv with the pinned dependencies

$(STAMP): scripts/setup-venv scripts/find-python
	@scripts/setup-venv "$(PYTHON)" $(VENV) -r requirements.txt
	@rm -f $(VENV)/.installed-*; touch $@

demo: $(STAMP)  ## train, convert, verify and measure on real digits; writes runs/demo/report.html
	@$(MAKE) --no-print-directory delegate >/dev/null || echo "Going on without the delegate." >&2
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/demo runs/demo

test: $(STAMP)  ## the offline test suite (make test-slow: the long tests)
	@$(RUN) -m pytest

test-slow: $(STAMP)
	@$(RUN) -m pytest -m slow

delegate:       ## build the TFLite delegate for this machine (edge/native)
	@$(or $(wildcard $(RUN)),python3) edge/native/build.py

lint: $(STAMP)  ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: $(STAMP)
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

smoke: $(STAMP) ## every command in an environment without development packages
	@scripts/smoke "$(PYTHON)" .venv-smoke

conversions: $(STAMP) ## convert every architecture at hand; appends what results/conversions.jsonl lacks
	@$(RUN) scripts/conversions.py

requirements: $(STAMP) ## resolve requirements.txt anew from pyproject.toml
	@$(RUN) -m pip install --quiet uv
	@$(RUN) -m uv pip compile --python-version 3.10 --all-extras pyproject.toml --annotation-style line \
	  --custom-compile-command "make requirements" --output-file requirements.txt --quiet

clean:          ## remove environments, caches and runs/demo
	@rm -rf .venv .venv-smoke runs/demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
