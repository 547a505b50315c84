"""Runs the unit tests of the delegate, which are in C++ (`unit/`)."""

import os
import shutil
import subprocess

import pytest

TESTS = ("plan", "flexbuffer", "memory", "pool", "delegate")


def run(native_build, name, **build):
    try:
        program = native_build.build(unit_tests=True, **build).parent / "unit_tests"
    except native_build.ToolsMissingError as error:
        pytest.skip(f"the unit tests cannot be built here: {error}")
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run([program, name], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, f"{name}: ok\n"), done.stderr


@pytest.mark.parametrize("name", TESTS)
def test_unit(name, native_build):
    run(native_build, name)


@pytest.mark.slow
@pytest.mark.parametrize("sanitize", ["address", "thread"])
@pytest.mark.parametrize("name", TESTS)
def test_unit_with_sanitizers(name, sanitize, native_build):
    if shutil.which("gcc") is None:
        pytest.skip("the sanitizers' libraries come with gcc")
    run(native_build, name, sanitize=sanitize)
