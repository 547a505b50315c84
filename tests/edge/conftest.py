"""Small `.tflite` files and rows that the tests of the edge stage share."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

from edge.bench import measurement
from edge.results.row import (
    ColdStart,
    Disturbance,
    Host,
    Memory,
    Model,
    Parity,
    Row,
    Run,
    Setup,
    Verification,
)

from .compare_rows import with_samples


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A converted file with the Keras model that it came from."""

    path: Path
    keras_model: object


def convert(model):
    """A Keras model as LCE's converter makes it, without the convert stage."""
    return importlib.import_module("larq_compute_engine").convert_keras_model(model)


@pytest.fixture(scope="session")
def float_file(tmp_path_factory):
    """A float MLP of 3.3 MB with asymmetric random weights, which every runtime can run."""
    from onebit.keras import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((784,)),
            keras.layers.Dense(1024, "relu", bias_initializer="random_normal"),
            keras.layers.Dense(10, bias_initializer="random_normal"),
        ]
    )
    path = tmp_path_factory.mktemp("models") / "float_mlp.tflite"
    path.write_bytes(convert(model))
    return ModelFile(path, model)


@pytest.fixture(scope="session")
def binary_file(tmp_path_factory):
    """A network with one binary convolution: its file has LceQuantize and LceBconv2d."""
    from onebit.keras import keras, lq

    keras.utils.set_random_seed(2)
    convolution = lq.layers.QuantConv2D(
        32,
        3,
        padding="same",
        pad_values=1,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
    )
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 32)),
            convolution,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5),
        ]
    )
    path = tmp_path_factory.mktemp("models") / "binary_net.tflite"
    path.write_bytes(convert(model))
    return ModelFile(path, model)


@pytest.fixture(scope="session")
def two_inputs_file(tmp_path_factory):
    """A float network with the inputs `left` of 8 and `right` of 4 values, and three classes."""
    from onebit.keras import keras

    keras.utils.set_random_seed(3)
    left, right = keras.Input((8,), name="left"), keras.Input((4,), name="right")
    hidden = keras.layers.Concatenate()([left, right])
    model = keras.Model([left, right], keras.layers.Dense(3)(hidden))
    path = tmp_path_factory.mktemp("models") / "two_inputs.tflite"
    path.write_bytes(convert(model))
    return ModelFile(path, model)


@pytest.fixture
def quick_plan():
    """Enough to fill a row; the figures themselves are not looked at."""
    return measurement.Plan(min_runs=10, min_seconds=0.02, warmup_seconds=0.2)


@pytest.fixture
def make_row():
    """Returns a function that makes a plausible row; keywords replace parts of it."""

    def make(
        name="binary_net_mlp",
        setup="lce",
        threads=1,
        median_ns=450_000,
        size_bytes=400_000,
        accuracy=0.945,
        cpu="Cortex-A72",
        architecture="aarch64",
        binary_macs=2_000_000,
        float_macs=800_000,
        **changes,
    ):
        samples = np.random.default_rng(0).gamma(3.0, 0.02, 200) * median_ns + median_ns * 0.94
        samples_ns = tuple(int(s) for s in samples)
        verification = Verification("exact", 1000, "test", accuracy, accuracy, 1.0)
        row = Row(
            run=Run("abc123", "2026-01-02T03:04:05+00:00", "onebit edge bench", "0.1.0"),
            host=Host("local", cpu=cpu, architecture=architecture, cores=4, governor="performance"),
            model=Model(
                name,
                f"{name}.tflite",
                f"{name}-sha",
                size_bytes,
                float32_bytes=11_600_000,
                binary_macs=binary_macs,
                float_macs=float_macs,
                verification=None if accuracy is None else verification,
            ),
            setup=Setup(
                setup, setup.partition(":")[0], "default", threads, "0.16.0", warmup_steady=True
            ),
            status="ok",
            cold_start=ColdStart(4_000_000, 5_000_000, 700_000),
            samples_ns=samples_ns,
            summary=measurement.summarise(samples_ns),
            memory=Memory(40_000_000, 50_000_000, 10_000_000),
            parity=Parity("0" * 64, 8),
            disturbance=Disturbance(other_cores=0.01),
        )
        return dataclasses.replace(row, **changes)

    return make


@pytest.fixture
def failed(make_row):
    """Returns a function that makes a row without figures."""

    def make(status="failed", reason="the runner was killed by SIGSEGV", **changes):
        nothing = dict.fromkeys(["cold_start", "summary", "memory", "parity", "disturbance"])
        return make_row(status=status, reason=reason, samples_ns=(), **nothing, **changes)

    return make


@pytest.fixture
def change(make_row):
    """Returns a function that makes a row with `part__field=value` changed."""

    def make(median_ns=500_000, seed=0, **changes):
        row = with_samples(make_row(), median_ns, seed)
        for name, value in changes.items():
            part, _, field = name.partition("__")
            if field:
                inner = dataclasses.replace(getattr(row, part), **{field: value})
                row = dataclasses.replace(row, **{part: inner})
        whole = {name: value for name, value in changes.items() if "__" not in name}
        return dataclasses.replace(row, **whole)

    return make
