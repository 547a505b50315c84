import os
import subprocess
import sys

import pytest


def python(code):
    """Runs code in a process that does not inherit the flag from this one."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


def test_tensorflow_imported_first_gives_one_clear_line():
    result = python("import tensorflow\nimport zoo\nzoo.build('float_mlp')")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: TensorFlow was imported before Onebit")
    assert "TF_USE_LEGACY_KERAS=1" in last


@pytest.mark.slow
def test_tensorflow_imported_first_with_the_flag_works():
    result = python(
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'\n"
        "import tensorflow\nimport zoo\nzoo.build('float_mlp')"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_import_is_silent():
    result = python("import onebit.keras")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["zoo", "convert"])
def test_package_imported_before_tensorflow_needs_no_flag(package):
    result = python(f"import {package}\nimport tensorflow\nfrom onebit.keras import lq")
    assert result.returncode == 0, result.stderr
