"""Files for TensorFlow Lite Micro: ±1 weights for its DECODE, and a shim for binary operators.

The shim is compiled against stand-ins for TFLM's headers that were written for these tests
(`tests/support/tflm_standin.h`): they show that it calls the kernels as LCE's operators compute,
not that TFLM itself accepts it.
"""

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from benchmarks.conversions import calibrate
from convert.__main__ import main
from convert.conversion import convert_model
from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets.tflm.decode import DECODE
from convert.targets.tflm.project import tflm_files, tflm_model
from convert.tflite.graph import Graph
from onebit.keras import keras
from tests.convert.models import randomise
from tests.support import lce_graphs, peers
from tests.support.lce_graphs import schema
from tests.zoo.test_models import OPTIONS
from zoo.models import models

MODEL = Path(__file__).parents[2] / "written_before" / "model.tflite"
ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"
INCLUDED = (
    "flatbuffers/flexbuffers.h", "tensorflow/lite/c/common.h",
    "tensorflow/lite/micro/kernels/kernel_util.h", "tensorflow/lite/micro/micro_context.h",
    "tensorflow/lite/micro/micro_log.h", "tensorflow/lite/micro/micro_mutable_op_resolver.h",
)  # fmt: skip
OPS = ("LceBconv2d", "LceBMaxPool2d", "LceQuantize", "LceDequantize")
WHEEL = peers.Environment("tflite-micro", ("tflite-micro==0.dev20261023182759", "numpy"))


def test_weights_become_bits_right_before_their_readers():
    graph = tflm_model(MODEL.read_bytes(), "m")
    names = [graph.op_name(op) for op in graph.operators]
    readers = [names[i + 1] for i, name in enumerate(names) if name == DECODE]
    assert readers == ["FULLY_CONNECTED"] * 4
    assert "LceDequantize" not in names
    # 784-16-16-16-10, a bit each, no word of which is padded.
    sizes = [
        graph.shape(graph.inputs(op)[0])[0] for op in graph.operators if graph.op_name(op) == DECODE
    ]
    assert sizes == [16 * 784 // 8, 16 * 16 // 8, 16 * 16 // 8, 16 * 10 // 8]
    # The words and their tensors are gone.
    assert len(graph.to_bytes()) < len(MODEL.read_bytes()) + 1000


def test_weights_that_two_layers_share_are_unpacked_for_each(tmp_path):
    g = lce_graphs.Graph()
    x = g.tensor([1, 8])
    weights = g.dequantize(g.constant(np.array([[5]] * 8, np.int32)), 8)
    content = g.build([x], [g.dense(g.dense(x, weights), weights)])
    graph = tflm_model(content, "m")
    assert [graph.op_name(op) for op in graph.operators] == [DECODE, "FULLY_CONNECTED"] * 2
    first, second = (graph.outputs(op)[0] for op in graph.operators if graph.op_name(op) == DECODE)
    assert first != second


def test_operator_that_tflm_lacks_is_refused_by_name():
    g = lce_graphs.Graph()
    x, y = g.tensor([1, 4]), g.tensor([1, 4])
    g.operator(schema.BuiltinOperator.RELU_N1_TO_1, [x], [y])
    g.graph.tensors[y].name = "model/clip"
    with pytest.raises(ConversionError, match=r"model/clip .RELU_N1_TO_1. is not an operator of"):
        tflm_files(g.build([x], [y]), "m", "net")


def test_command_writes_a_folder(tmp_path):
    folder = tmp_path / "net"
    done = CliRunner().invoke(
        main, ["export", str(MODEL), "--to", "tflm", "-o", str(folder), "--name", "net"]
    )
    assert done.exit_code == 0, done.output
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "net.tflite", "net_model.cc", "net_tflm.h", "README.md", "onebit-export.json"
    }  # fmt: skip
    assert (
        "net_model_size = " + str((folder / "net.tflite").stat().st_size)
        in (folder / "net_model.cc").read_text()
    )


# --- The shim


class Tensor(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int32), ("rank", ctypes.c_int32), ("dims", ctypes.c_int32 * 4),
        ("data", ctypes.c_void_p), ("scale", ctypes.c_float), ("zero_point", ctypes.c_int32),
    )  # fmt: skip


def every_operator():
    """A network with all four of LCE's operators, to get the whole shim."""
    g = lce_graphs.Graph()
    x = g.tensor([1, 6, 6, 32])
    bits = g.max_pool_bits(g.quantize(x), (2, 2), (2, 2), True)
    y = g.bconv(bits, np.ones((32, 3, 3, 32)), channels_in=32, scale=np.ones(32), bias=np.ones(32))
    return g.build([x], [y, g.dequantize(bits, 32)])


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("shim")
    files = tflm_files(every_operator(), "m", "net")
    for name, content in files.items():
        if isinstance(content, str):
            (folder / name).write_text(content)
    for name in INCLUDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'#include "{SUPPORT / "tflm_standin.h"}"\n')
    strict = ["-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", f"-I{folder}", f"-I{ROOT}"]
    objects = []
    for source in [*folder.glob("*.c"), *folder.glob("*.cc"), SUPPORT / "tflm_runner.cc",
                   ROOT / "edge/native/delegate/flexbuffer.cc"]:  # fmt: skip
        language = ["gcc", "-std=c99"] if source.suffix == ".c" else ["g++", "-std=c++17"]
        objects.append(str(folder / f"{source.name}.o"))
        subprocess.run([*language, *strict, "-c", str(source), "-o", objects[-1]], check=True)
    library = folder / "shim.so"
    subprocess.run(["g++", "-shared", *objects, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def test_shim_registers_every_operator(shim):
    assert shim.registered() == len(OPS)


def run_on_shim(shim, content, x):
    """The output of a file of one operator of LCE's."""
    graph = Graph.from_bytes(content)
    (op,) = graph.operators
    arrays, tensors = [], []
    out = np.zeros(graph.shape(graph.outputs(op)[0]), graph_dtype(graph, graph.outputs(op)[0]))
    given = [
        x if not graph.is_constant(i) else graph.constant(i) for i in graph.inputs(op) if i >= 0
    ]
    places = iter(given)
    for index in [*graph.inputs(op), *graph.outputs(op)]:
        tensor = Tensor()
        if index >= 0:
            array = out if index in graph.outputs(op) else np.ascontiguousarray(next(places))
            arrays.append(array)
            tensor.type = graph.subgraph.tensors[index].type + 1  # TFLM counts from 1
            tensor.type = {1: 1, 3: 2, 7: 6, 10: 9}[tensor.type]
            tensor.rank = len(graph.shape(index))
            tensor.dims[:] = [*graph.shape(index), 0, 0, 0][:4]
            tensor.data = array.ctypes.data
            quantization = graph.subgraph.tensors[index].quantization
            if quantization is not None and quantization.scale is not None:
                tensor.scale = quantization.scale[0]
                tensor.zero_point = int(quantization.zeroPoint[0])
        tensors.append(tensor)
    options = b"" if op.customOptions is None else np.asarray(op.customOptions, np.uint8).tobytes()
    code = shim.run_op(
        OPS.index(graph.op_name(op)), options, ctypes.c_size_t(len(options)),
        (Tensor * len(tensors))(*tensors), len(tensors),
    )  # fmt: skip
    assert code == 0
    return out


def graph_dtype(graph, index):
    return {"FLOAT32": np.float32, "INT32": np.int32, "INT8": np.int8, "BOOL": np.bool_}[
        graph.type_name(index)
    ]


def compare(shim, g, x, y, array):
    content = g.build([x], [y])
    (expected,) = LceInterpreter(content, "reference").run_once([array])
    np.testing.assert_array_equal(run_on_shim(shim, content, array), expected)


@pytest.mark.parametrize("output", ["float", "bits", "int8"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": 1},
        {"activation": 2},
        {"activation": 3},
        {"pad_values": 0, "channels": 64},
        {"same": False, "stride": (2, 1), "dilation": (1, 2)},
        {"groups": 2, "channels": 64, "pad_values": 0},
        {"channels": 40, "size": (1, 1)},
    ],
    ids=str,
)
def test_shim_convolves_as_lce_does(shim, options, output):
    rng, options = np.random.default_rng(len(str(options))), dict(options)
    channels, groups = options.pop("channels", 32), options.pop("groups", 1)
    size, outputs = options.pop("size", (7, 6)), 36
    if output != "float" and options.get("pad_values") == 0:
        options["pad_values"] = 1  # LCE's own kernels refuse the rest
    g = lce_graphs.Graph()
    bits = g.tensor([2, *size, -(-channels // 32)], np.int32)
    factors = {"scale": rng.normal(0, 1, outputs), "bias": rng.normal(0, 9, outputs)}
    more = {
        "float": factors,
        "bits": {"thresholds": rng.integers(-9, 300, outputs), "out_type": np.int32},
        "int8": factors | {"out_type": np.int8, "quantization": {"scale": 0.7, "zero_point": 3}},
    }[output]
    weights = rng.choice([-1, 1], (outputs, 3, 2, channels // groups))
    y = g.bconv(bits, weights, channels_in=channels, **more, **options)
    signs = rng.choice([-1, 1], (2, *size, channels))
    from onebit.bits import pack

    compare(shim, g, bits, y, pack(signs))


@pytest.mark.parametrize("same", [True, False])
def test_shim_pools_as_lce_does(shim, same):
    g = lce_graphs.Graph()
    bits = g.tensor([2, 7, 6, 2], np.int32)
    y = g.max_pool_bits(bits, (3, 2), (2, 2), same)
    words = np.random.default_rng(0).integers(-(2**31), 2**31, (2, 7, 6, 2)).astype(np.int32)
    compare(shim, g, bits, y, words)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_shim_takes_signs_as_lce_does(shim, dtype):
    rng, shape = np.random.default_rng(0), [2, 5, 37]
    steps = {"scale": 0.3, "zero_point": -5} if dtype == np.int8 else {}
    g = lce_graphs.Graph()
    x = g.tensor(shape, dtype, **steps)
    values = rng.normal(0, 40, shape)
    array = (values > 0) if dtype == np.bool_ else values.astype(dtype)
    compare(shim, g, x, g.quantize(x), array)
    g = lce_graphs.Graph()
    bits = g.tensor([2, 5, 2], np.int32)
    words = rng.integers(-(2**31), 2**31, (2, 5, 2)).astype(np.int32)
    words[..., 1] &= 31
    compare(shim, g, bits, g.dequantize(bits, 37, dtype, **steps), words)


# --- TensorFlow Lite Micro itself


def converted(name):
    keras.utils.set_random_seed(11)
    known, options = models.get(name).options, OPTIONS[name]
    model = zoo.build(name, **{key: options[key] for key in options if key in known})
    calibrate(model)
    return convert_model(model, verification=False).tflite, model.input_shape[1:]


def separable():
    import larq as lq

    image = keras.Input((10, 9, 32))
    x = lq.layers.QuantSeparableConv2D(
        64, 3, padding="same", depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign"
    )(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = randomise(keras.Model(image, lq.layers.QuantDense(5, kernel_quantizer="ste_sign")(x)))
    return convert_model(model, verification=False).tflite, (10, 9, 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary_connect_mlp", "binary_connect_cnn", "separable"])
def test_stock_tflm_runs_weight_only_networks(name, tmp_path):
    content, shape = separable() if name == "separable" else converted(name)
    graph = tflm_model(content, name)
    assert DECODE in {graph.op_name(op) for op in graph.operators}
    images = np.random.default_rng(0).uniform(-1, 1, (3, *shape)).astype(np.float32)
    try:
        answers, _ = peers.run(WHEEL, "tflm_peer.py", tmp_path, graph.to_bytes(), images)
    except peers.UnreachableError as error:
        pytest.skip(f"PyPI cannot be reached: {error}")
    interpreter = LceInterpreter(content)
    expected = np.concatenate([interpreter.run_once([image[None]])[0] for image in images])
    # A float layer's sum of K products is rounded K times in another order.
    most = 1e-5 * float(np.abs(expected).max())
    np.testing.assert_allclose(answers["outputs"], expected, rtol=0, atol=most)
    assert math.prod(expected.shape)
