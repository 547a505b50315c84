"""Keeps the delegate out of the tests of conversions, whether it is built here or not."""

import pytest

from tests.convert import models
from tests.edge.native.conftest import native_build, onebit_delegate  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _no_delegate(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("ONEBIT_DELEGATE_LIBRARY", str(tmp_path_factory.getbasetemp() / "absent.so"))


@pytest.fixture
def delegate(monkeypatch, onebit_delegate):  # noqa: F811
    """The delegate's library, found again by what is tested."""
    monkeypatch.delenv("ONEBIT_DELEGATE_LIBRARY")
    return onebit_delegate.library_path()


@pytest.fixture(scope="session")
def residual_net():
    """`models.residual_net`, and the float file that TensorFlow Lite's converter makes of it."""
    from tests.support.plain_tflite import plain_tflite

    model = models.residual_net()
    return model, plain_tflite(model)
