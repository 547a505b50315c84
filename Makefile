# make setup | demo | test | lint | smoke; `make help` explains each.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow delegate wheels android bench arm-instructions \
  conversions accuracies int8 lint format smoke requirements clean

VENV := .venv
PYTHON ?= $(shell scripts/find-python)
RUN := $(VENV)/bin/python
# Named after what was installed: a changed pin installs again, an unchanged one costs nothing.
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

# A file's tests stay in one process, since they share what takes seconds to make.
test: $(STAMP)  ## the offline test suite (make test-slow: the long tests)
	@$(RUN) -m pytest -n auto --dist loadfile

test-slow: $(STAMP)
	@$(RUN) -m pytest -m slow

delegate:       ## build the TFLite delegate for this machine (edge/native)
	@$(or $(wildcard $(RUN)),python3) edge/native/build_library.py

wheels:         ## cross-build the delegate's wheels for x86-64, aarch64 and armv7 into dist/
	@$(or $(wildcard $(RUN)),python3) edge/native/wheels.py -o dist

android:        ## build the delegate for Android; needs ANDROID_NDK=/path/to/ndk
	@test -n "$(ANDROID_NDK)" || { echo "set ANDROID_NDK to the folder of an Android NDK" >&2; exit 2; }
	@for abi in arm64-v8a armeabi-v7a; do \
	  cmake -S edge/native -B edge/native/build/android-$$abi -DANDROID_ABI=$$abi -DANDROID_PLATFORM=26 \
	    -DCMAKE_TOOLCHAIN_FILE="$(ANDROID_NDK)/build/cmake/android.toolchain.cmake" && \
	  cmake --build edge/native/build/android-$$abi || exit 1; \
	done

bench: $(STAMP) delegate ## measure the delegate beside LCE and LiteRT; appends to results/
	@$(RUN) -m benchmarks.delegate --output results/delegate.jsonl $(BENCH)

arm-instructions: $(STAMP) delegate ## count the delegate's instructions on aarch64 (emulated); writes results/
	@$(RUN) -m benchmarks.arm_instructions

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
	@$(RUN) -m benchmarks.conversions

accuracies: $(STAMP) ## train what the accuracies are reported of (hours); appends what results/accuracies.jsonl lacks
	@$(RUN) -m benchmarks.accuracies

int8: $(STAMP)  ## int8 files of trained models: make int8 RUNS="runs/a runs/b"; appends to results/
	@$(RUN) -m benchmarks.int8 $(RUNS)

requirements: $(STAMP) ## resolve requirements.txt from pyproject.toml
	@$(RUN) -m pip install --quiet uv
	@$(RUN) -m uv pip compile --python-version 3.10 --all-extras pyproject.toml --annotation-style line \
	  --custom-compile-command "make requirements" --output-file requirements.txt --quiet

clean:          ## remove environments, caches and runs/demo
	@rm -rf .venv .venv-smoke runs/demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
