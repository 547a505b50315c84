"""A model, and commands that measure it."""

import pytest

from tests.devices.harness import Harness


@pytest.fixture(scope="session")
def residual_model():
    """Binary convolutions with residual sums, of which every machine makes the same bytes.

    Returns:
        The file and the shape of its input.
    """
    from tests.edge.native.test_graphs import residual_model

    return residual_model(layers=4)


@pytest.fixture
def residual_file(residual_model, tmp_path):
    """The same as a file."""
    path = tmp_path / "residual.tflite"
    path.write_bytes(residual_model[0])
    return path


@pytest.fixture
def harness(tmp_path):
    """Makes harnesses: harness(folder with ssh or adb, ..., folder for the rows)."""

    def make(*programs, folder=tmp_path):
        return Harness(folder, programs)

    return make
