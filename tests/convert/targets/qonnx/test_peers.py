"""Exported files judged by the tools that they are for, in environments of their own.

    pytest -m slow tests/convert/targets/qonnx/test_peers.py

The first run downloads the tools from PyPI (1 GB) into ~/.cache/onebit-test-envs.
"""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra fpga")

from convert.conversion import convert_model
from convert.targets.qonnx import audit
from convert.targets.qonnx.qcdq_target import qcdq
from convert.targets.qonnx.target import qonnx
from convert.targets.reading import read_network
from convert.targets.thresholds.reading import threshold_network
from tests.convert.models import randomise
from tests.convert.targets.chains import (
    CHAINS,
    INT8,
    REFUSED,
    converted,
    in_steps,
    integers,
    lce_outputs,
)
from tests.support import peers

pytestmark = pytest.mark.slow

ZOO = {
    "tfc_w1a1": {},
    "cnv_w1a1": {"width": 16, "input_shape": (28, 28, 1)},
}
SAMPLES = 8


@pytest.fixture(scope="module")
def files():
    import zoo

    made = {name: converted(name) for name in [*CHAINS, *REFUSED, *INT8]}
    for name, options in ZOO.items():
        model = randomise(zoo.build(name, **options), seed=7)
        norm = model.get_layer("logits_norm")
        norm.gamma.assign(abs(norm.gamma))  # as trained: a class is the largest sum
        made[name] = convert_model(model, samples=None, verification=False, name=name).tflite
    return made


class Case:
    """A file, its inputs as float and as integers, and LCE's outputs."""

    def __init__(self, content):
        self.content = content
        network = read_network(content)
        self.integers = integers(network.values[network.inputs[0]].shape, SAMPLES)
        self.values = (self.integers / 128).astype(np.float32)
        self.expected = lce_outputs(content, self.values).reshape(SAMPLES, -1)

    def laid_out(self, array, order=(0, 3, 1, 2)):
        """Vectors where the chain begins with a dense layer, else images in that order."""
        chain = threshold_network(read_network(self.content))
        if chain.stages[0].input_shape[:2] == (1, 1):
            return array.reshape(SAMPLES, -1).astype(np.float32)
        return array.transpose(order).astype(np.float32)


def judged(environment, script, folder, *arguments):
    try:
        return peers.run(environment, script, folder, *arguments)
    except peers.UnreachableError as error:
        pytest.skip(f"PyPI cannot be reached: {error}")


@pytest.mark.parametrize("tool", ["finn", "hls4ml"])
@pytest.mark.parametrize("name", ["valid_cnn", "sign_cnn", "real_mlp", *ZOO])
def test_qonnx_executes_hardware_dialects_as_lce_does(files, name, tool, tmp_path):
    """Chains without padded bits: in software QONNX pads them with 0, as no hardware does."""
    case = Case(files[name])
    order = (0, 3, 1, 2) if tool == "finn" else (0, 1, 2, 3)
    inputs = case.laid_out(case.values, order)
    found, _ = judged(
        peers.HLS4ML, "qonnx_peer.py", tmp_path, qonnx(case.content, tool, name), inputs
    )
    for outputs in found.values():
        np.testing.assert_array_equal(outputs.reshape(SAMPLES, -1), case.expected)


@pytest.mark.parametrize("name", [*CHAINS, *REFUSED, *ZOO])
def test_qonnx_executes_the_generic_file_as_lce_does(files, name, tmp_path):
    case = Case(files[name])
    inputs = case.values.transpose(0, 3, 1, 2)
    found, _ = judged(
        peers.HLS4ML, "qonnx_peer.py", tmp_path, qonnx(case.content, "generic", name), inputs
    )
    np.testing.assert_array_equal(found["as_written"].reshape(SAMPLES, -1), case.expected)


@pytest.mark.parametrize("name", [*CHAINS, *REFUSED, *ZOO])
def test_onnxruntime_executes_qcdq_as_lce_does(files, name, tmp_path):
    case = Case(files[name])
    inputs = case.values.transpose(0, 3, 1, 2)
    found, _ = judged(
        peers.HLS4ML, "onnxruntime_peer.py", tmp_path, qcdq(case.content, name), inputs
    )
    np.testing.assert_allclose(
        found["outputs"].reshape(SAMPLES, -1),
        case.expected,
        # ONNX Runtime may fuse the last Mul and Add: a rounding of each.
        atol=2 * 2**-23 * np.abs(case.expected).max() * 4,
    )


@pytest.mark.parametrize("dialect", ["generic", "qcdq"])
@pytest.mark.parametrize("name", INT8)
def test_int8_networks_stay_within_steps_of_lces_output(files, name, dialect, tmp_path):
    """Rounding of halves differs, by a step in a layer; behind a sign that may be a bit."""
    case = Case(files[name])
    script = "qonnx_peer.py" if dialect == "generic" else "onnxruntime_peer.py"
    content = (
        qonnx(case.content, dialect, name) if dialect == "generic" else qcdq(case.content, name)
    )
    found, _ = judged(peers.HLS4ML, script, tmp_path, content, case.values.transpose(0, 3, 1, 2))
    network = read_network(case.content)
    for outputs in found.values():
        differences = in_steps(network, outputs.reshape(SAMPLES, -1) - case.expected)
        assert np.abs(differences).max() <= 2


@pytest.mark.parametrize("name", [*CHAINS, *ZOO])
def test_hls4ml_simulates_the_same_numbers(files, name, tmp_path):
    """Sums are exact in fixed point; scale and offset are rounded to 16 bits behind the point."""
    case = Case(files[name])
    found, facts = judged(
        peers.HLS4ML,
        "hls4ml_peer.py",
        tmp_path,
        qonnx(case.content, "hls4ml", name),
        case.laid_out(case.values, (0, 1, 2, 3)),
    )
    chain = threshold_network(read_network(case.content))
    most = chain.layers[-1].fan_in * 2
    np.testing.assert_allclose(found["outputs"], case.expected, atol=(most + 2) * 2**-16)
    np.testing.assert_array_equal(found["outputs"].argmax(1), case.expected.argmax(1))
    assert _nodes(audit.NODES["hls4ml"], chain) <= set(facts["layers"])


@pytest.mark.parametrize("input_type", ["float", "integer"])
@pytest.mark.parametrize("name", [*CHAINS, *ZOO])
def test_finns_own_steps_leave_only_hardware_nodes_that_compute_the_same(
    files, name, input_type, tmp_path
):
    case = Case(files[name])
    is_integer = input_type == "integer"
    values = case.integers if is_integer else case.values
    found, facts = judged(
        peers.FINN,
        "finn_peer.py",
        tmp_path,
        qonnx(case.content, "finn", name, integer_input=is_integer),
        case.laid_out(values),
    )
    assert {domain for _, domain in facts["nodes"]} == {"finn.custom_op.fpgadataflow"}
    for outputs in found.values():
        # FINN joins the last scales and offsets into one of each: a rounding of either.
        np.testing.assert_allclose(
            outputs.reshape(SAMPLES, -1),
            case.expected,
            atol=4 * 2**-23 * np.abs(case.expected).max() + 2**-20,
        )
    chain = threshold_network(read_network(case.content))
    assert _nodes(audit.NODES["finn"], chain) <= {kind for kind, _ in facts["nodes"]}


@pytest.mark.parametrize("name", ZOO)
def test_finn_ends_in_a_label_select_with_lces_classes(files, name, tmp_path):
    case = Case(files[name])
    found, facts = judged(
        peers.FINN,
        "finn_peer.py",
        tmp_path,
        qonnx(case.content, "finn", name, integer_input=True),
        case.laid_out(case.integers),
        1,
    )
    assert facts["nodes"][-1][0] == "LabelSelect"
    assert {domain for _, domain in facts["nodes"]} == {"finn.custom_op.fpgadataflow"}
    # InsertTopK gives the five largest, the first in front; of equal sums any is the largest.
    first = found["hardware"].reshape(SAMPLES, -1)[:, :1].astype(int)
    chosen = np.take_along_axis(case.expected, first, 1)
    np.testing.assert_array_equal(chosen[:, 0], case.expected.max(1))


def _nodes(names, chain):
    """The nodes that the table of a chain names, but for the input's and the output's."""
    rows = audit.audit_rows(
        chain, "finn" if names is audit.NODES["finn"] else "hls4ml", {}, integer_input=True
    )
    text = ", ".join(row.hardware.replace(" (binary)", "") for row in rows[1:-1])
    return set(text.split(", "))
