# make setup | demo | test | lint | smoke; `make help` explains each.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-wheels delegate wheels android bench arm-instructions \
  conversions accuracies int8 lint format docs smoke requirements clean

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
	@echo "Building the delegate" >&2
	@$(MAKE) --no-print-directory delegate >/dev/null || echo "Going on without the delegate." >&2
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/demo runs/demo

# A file's tests stay in one process, since they share what takes seconds to make. There are two
# processes more than processors, since those of builds and emulated boards mostly wait.
test: $(STAMP)  ## the offline test suite (make test-slow: the long tests)
	@$(RUN) -m pytest -n $$(($$(nproc) + 2)) --dist loadfile --no-loadscope-reorder $(PYTEST)

test-wheels: $(STAMP) ## build the wheel and use it in environments without the checkout (needs PyPI)
	@$(RUN) -m pytest -m wheels

test-slow: $(STAMP) ## the tests that take minutes
	@$(RUN) -m pytest -m slow

delegate:       ## build the TFLite delegate for this machine (edge/native)
	@$(or $(wildcard $(RUN)),python3) edge/native/build_library.py

wheels: $(STAMP) ## cross-build Onebit's and the delegate's wheels for three platforms, and the sdist, into dist/
	@$(RUN) edge/native/wheels.py -o dist
	@for target in x86_64 aarch64 armv7; do \
	  ONEBIT_TARGET=$$target $(RUN) -m build --quiet --wheel --outdir dist . || exit 1; \
	done
	@$(RUN) -m build --quiet --sdist --outdir dist .

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

NATIVE_SOURCES = $(shell git ls-files 'edge/native/*.cc' 'edge/native/*.h' 'edge/native/*.c' 'tests/edge/native/unit/*.cc' 'tests/edge/native/unit/*.h' 'convert/targets/c/runtime/*.c' 'convert/targets/c/runtime/*.h' 'convert/targets/tflm/templates/*.cc' 'tests/support/*.cc' 'tests/support/*.h' 'tests/edge/boards/*.c' 'edge/boards/package/*.c' 'edge/boards/package/*.h')
SPELLED = $(shell git ls-files '*.py' '*.md' '*.cc' '*.h' '*.inc' '*.j2' '*.css' '*.toml' '*.yml' Makefile scripts)

lint: $(STAMP)  ## ruff, mypy, codespell, retired words, clang-format, clang-tidy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/codespell $(SPELLED)
	@scripts/retired-words
	@$(VENV)/bin/clang-format --dry-run --Werror $(NATIVE_SOURCES)
	@scripts/clang-tidy $(VENV)

docs: $(STAMP)  ## write docs/cli.md, the reference of all commands
	@$(RUN) -m onebit.cli_reference > docs/cli.md

format: $(STAMP) ## what ruff and clang-format fix by themselves
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .
	@$(VENV)/bin/clang-format -i $(NATIVE_SOURCES)

smoke: $(STAMP) ## every command in an environment without development packages
	@scripts/smoke "$(PYTHON)" .venv-smoke

conversions: $(STAMP) ## convert every architecture at hand; appends what results/conversions.jsonl lacks
	@$(RUN) -m benchmarks.conversions

accuracies: $(STAMP) ## train what accuracies are reported of (days; some: RECIPES="a b"); appends to results/
	@$(RUN) -m benchmarks.accuracies $(RECIPES)

int8: $(STAMP)  ## int8 files of trained models: make int8 RUNS="runs/a runs/b"; appends to results/
	@$(RUN) -m benchmarks.int8 $(RUNS)

requirements: $(STAMP) ## resolve requirements.txt from pyproject.toml
	@$(RUN) -m uv pip compile --python-version 3.10 --all-extras pyproject.toml --annotation-style line \
	  --custom-compile-command "make requirements" --output-file requirements.txt --quiet

clean:          ## remove environments, caches and runs/demo
	@rm -rf .venv .venv-smoke runs/demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
