"""Builds the delegate once and runs models with it."""

import gc
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

NATIVE = Path(__file__).resolve().parents[3] / "edge" / "native"


def load_file(name: str, path: Path):
    """Imports a Python file that is not in a package of this project."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def quick_collections():
    """Takes what is there before out of the garbage collector's reach.

    Delegates write their profiles when they are collected, for which these tests collect hundreds
    of times; with TensorFlow's objects each time took a second.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def native_build():
    """The build script as a module."""
    return load_file("onebit_native_build", NATIVE / "build_library.py")


@pytest.fixture(scope="session")
def onebit_delegate(native_build):
    """The Python package, with the library built."""
    try:
        native_build.build()
    except native_build.ToolsMissingError as error:
        pytest.skip(f"the delegate cannot be built here: {error}")
    return load_file("onebit_delegate", NATIVE / "python" / "onebit_delegate" / "__init__.py")


@pytest.fixture(scope="session")
def isas(onebit_delegate):
    """The instruction sets whose kernels this machine runs."""
    return onebit_delegate.features()["isas"]


@pytest.fixture(scope="session")
def kernels(onebit_delegate):
    """The variants of the binary convolution that this machine runs."""
    rows = onebit_delegate.features()["kernels"]
    return [row["name"] for row in rows if row["op"] == "bconv" and row["usable"]]


@pytest.fixture
def run(onebit_delegate):
    """Runs a model on a stock interpreter with the delegate: run(model, *inputs, **options)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def run(model, *inputs, interpreter_threads=1, xnnpack=True, **options):
        delegate = onebit_delegate.load(**options)
        kinds = OpResolverType
        interpreter = Interpreter(
            model_content=model,
            num_threads=interpreter_threads,
            experimental_delegates=[delegate],
            experimental_op_resolver_type=(
                kinds.AUTO if xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
        )
        details = interpreter.get_input_details()
        for detail, value in zip(details, inputs, strict=True):
            if tuple(detail["shape"]) != value.shape:
                interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail, value in zip(details, inputs, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    return run


@pytest.fixture
def run_all(run, isas):
    """Runs a model with the kernels of every instruction set; all must agree."""

    def run_all(model, *inputs):
        results = [run(model, *inputs, isa=isa)[0] for isa in isas]
        results.append(run(model, *inputs, num_threads=2)[0])
        assert all(r.tobytes() == results[0].tobytes() for r in results)
        return results[0]

    return run_all


@pytest.fixture
def lce():
    """Runs a model on LCE's own interpreter: lce(model, *inputs, **interpreter options)."""
    import larq_compute_engine

    from onebit.keras import tf  # noqa: F401

    def lce(model, *inputs, **options):
        interpreter = larq_compute_engine.testing.Interpreter(model, num_threads=1, **options)
        # The wrapped interpreter: `predict` of the wrapper takes a batch apart.
        return interpreter.interpreter.predict(list(inputs))

    return lce


def same_floats(a, b):
    """Whether arrays agree bit for bit, so that -0.0 is not 0.0."""
    return np.array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))
