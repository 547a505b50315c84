import fcntl
import os
import struct
from pathlib import Path

import numpy as np
import pytest

import zoo


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """A finished smoke run of the BNN MLP; tests that change it copy it first.

    The first of pytest-xdist's processes that asks trains it, and all have it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    with (shared / "finished_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        zoo.train(zoo.resolve_recipe("binary_net_mlp_mnist_5k", smoke=True), shared / "finished")
    return shared / "finished"


@pytest.fixture
def write_idx():
    """Writes an IDX file of uint8."""

    def write(path: Path, array: np.ndarray) -> None:
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header + array.astype(np.uint8).tobytes())

    return write
