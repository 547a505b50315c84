"""Wrong files make the interpreter fail with the operator's name and the reason."""

import re
import time

import numpy as np
import pytest

from tests.support.kernels import KERNELS
from tests.support.lce_graphs import ABSENT, Graph, bconv_options, options

GOOD = {
    "channels_in": 64,
    "dilation": (1, 1),
    "activation": 0,
    "pad_values": 1,
    "same": True,
    "stride": (1, 1),
}


def bconv(
    custom=None, *, x_shape=(1, 4, 4, 2), filter_shape=(8, 3, 3, 2), out=np.float32, **changes
):
    """A model with one LceBconv2d that reads bits; `changes` replace constants or the output."""
    g = Graph()
    x = g.tensor(x_shape, changes.get("x_type", np.int32))
    filters = g.constant(np.zeros(filter_shape, changes.get("filter_type", np.int32)))
    if changes.get("filter_is_input"):
        filters = g.tensor(filter_shape, np.int32)
    ones = g.constant(np.ones(changes.get("outputs", filter_shape[0]), np.float32))
    thresholds = g.constant(np.ones(filter_shape[0], np.int32))
    quantization = changes.get("quantization", {"scale": 1.0})
    shape = (1, 4, 4, filter_shape[0]) if out != np.int32 else (1, 4, 4, 1)
    result = g.tensor(shape, out, **(quantization if out == np.int8 else {}))
    inputs = [x, filters, ones, ones, thresholds][: changes.get("inputs", 5)]
    if changes.get("no_thresholds"):
        inputs[4] = ABSENT
    if changes.get("no_multiplier"):
        inputs[2] = ABSENT
    g.operator("LceBconv2d", inputs, [result], bconv_options(GOOD) if custom is None else custom)
    return g.build([x] + ([filters] if changes.get("filter_is_input") else []), [result])


def without(key):
    """Good options but for one key."""
    full = {
        "channels_in": 64, "dilation_height_factor": 1, "dilation_width_factor": 1, "pad_values": 1,
        "fused_activation_function": 0, "padding": 0, "stride_height": 1, "stride_width": 1,
    }  # fmt: skip
    del full[key]
    return options(**full)


def changed(**changes):
    full = {
        "channels_in": 64, "dilation_height_factor": 1, "dilation_width_factor": 1, "pad_values": 1,
        "fused_activation_function": 0, "padding": 0, "stride_height": 1, "stride_width": 1,
    }  # fmt: skip
    return options(**(full | changes))


BCONV = [
    (bconv(b""), "custom options are not a readable FlexBuffer map"),
    (bconv(b"\x00"), "custom options are not a readable FlexBuffer map"),
    (bconv(bconv_options(GOOD)[:-1]), "custom options are not a readable FlexBuffer map"),
    (
        bconv(bconv_options(GOOD)[20:]),
        "stride_height|custom options are not a readable FlexBuffer map",
    ),
    (bconv(without("stride_height")), "option stride_height is missing"),
    (bconv(without("channels_in")), "option channels_in is missing"),
    (bconv(without("padding")), "option padding is missing"),
    (bconv(changed(stride_height=0)), "stride_height is 0"),
    (bconv(changed(stride_width=-1)), "stride_width is -1"),
    (bconv(changed(dilation_width_factor=0)), "dilation_width_factor is 0"),
    (bconv(changed(stride_height=2**40)), "stride_height is not an integer"),
    (bconv(changed(padding="SAME")), "padding is not an integer"),
    (bconv(changed(padding=2)), "padding is 2"),
    (bconv(changed(pad_values=-1)), "pad_values is -1"),
    (bconv(changed(fused_activation_function=4)), "fused_activation_function is 4"),
    (bconv(changed(channels_in=65)), "channels_in is 65, but the input has 2 words"),
    (bconv(changed(padding=1, dilation_height_factor=5)), "does not fit"),
    (bconv(changed(dilation_height_factor=32768, dilation_width_factor=32768)), "too large"),
    (bconv(x_type=np.float32), "input is float32, not int32"),
    (bconv(x_shape=(4, 4, 2)), r"must be \[N, H, W, words\]"),
    (bconv(x_shape=(1, 4, 4, 3)), "but the input has 3 words"),
    (bconv(filter_shape=(8, 3, 3, 3)), "2 words and the filter 3"),
    (bconv(filter_shape=(7, 3, 3, 1)), "do not divide into 2 groups"),
    (bconv(filter_shape=(8, 3, 2)), "filter must be"),
    (bconv(filter_type=np.float32), "filter must be constant int32"),
    (bconv(filter_is_input=True), "filter must be constant int32"),
    (bconv(inputs=4), "needs five inputs"),
    (bconv(outputs=9), "multiplier and bias of 8 values"),
    (bconv(no_multiplier=True), "multiplier and bias of 8 values"),
    (bconv(out=np.int32, no_thresholds=True), "8 constant int32 thresholds"),
    (bconv(out=np.bool_), "output is bool"),
    (bconv(out=np.int8, quantization={}), "needs a scale above zero"),
]


@pytest.fixture
def reason(onebit_delegate):
    """The message with which the interpreter refuses a model."""
    from ai_edge_litert.interpreter import Interpreter

    def reason(model):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            Interpreter(
                model_content=model, experimental_delegates=[onebit_delegate.load()]
            ).allocate_tensors()
        return str(caught.value)

    return reason


@pytest.mark.parametrize(("model", "expected"), BCONV, ids=[reason for _, reason in BCONV])
def test_malformed_bconv_is_refused_with_the_reason(model, expected, reason):
    message = reason(model)
    assert "onebit: LceBconv2d (node 0)" in message
    assert re.search(expected, message), message


def one_op(name, in_shape, in_type, out_shape, out_type, custom=b"", inputs=1, **quantization):
    g = Graph()
    x = g.tensor(in_shape, in_type)
    out = g.tensor(out_shape, out_type, **quantization)
    g.operator(name, [x] * inputs, [out], custom)
    return g.build([x], [out])


def pool_of_floats(**wrong):
    """A MAX_POOL_2D that an LceQuantize reads, with some options changed."""
    g = Graph()
    x = g.tensor((1, 4, 4, 32))
    pooled = g.max_pool(x, (2, 2), (2, 2), same=False)
    for name, value in wrong.items():
        setattr(g.graph.operators[-1].builtinOptions, name, value)
    return g.build([x], [g.quantize(pooled)])


POOL = {"filter_height": 2, "filter_width": 2, "stride_height": 2, "stride_width": 2, "padding": 1}
OTHERS = [
    ("LceQuantize", one_op("LceQuantize", (1, 4), np.int32, (1, 1), np.int32), "input is int32"),
    (
        "LceQuantize",
        one_op("LceQuantize", (1, 4), np.float32, (1, 1), np.float32),
        "output is float32",
    ),
    (
        "LceQuantize",
        one_op("LceQuantize", (1, 4), np.float32, (1, 1), np.int32, inputs=2),
        "one input",
    ),
    (
        "LceDequantize",
        one_op("LceDequantize", (1, 2), np.float32, (1, 64), np.float32),
        "is float32",
    ),
    (
        "LceDequantize",
        one_op("LceDequantize", (1, 2), np.int32, (1, 64), np.int32),
        "output is int32",
    ),
    (
        "LceDequantize",
        one_op("LceDequantize", (1, 2), np.int32, (1, 65), np.float32),
        "65 channels",
    ),
    (
        "LceDequantize",
        one_op("LceDequantize", (1, 2), np.int32, (64,), np.float32),
        "unusable shapes",
    ),
    (
        "LceDequantize",
        one_op("LceDequantize", (1, 2), np.int32, (1, 64), np.int8),
        "scale above zero",
    ),
    (
        "LceBMaxPool2d",
        one_op("LceBMaxPool2d", (1, 4, 4, 1), np.int32, (1, 2, 2, 1), np.int32),
        "map",
    ),
    (
        "LceBMaxPool2d",
        one_op(
            "LceBMaxPool2d",
            (1, 4, 4, 1),
            np.int32,
            (1, 2, 2, 1),
            np.int32,
            options(**(POOL | {"stride_width": 0})),
        ),
        "stride_width is 0",
    ),
    (
        "LceBMaxPool2d",
        one_op(
            "LceBMaxPool2d",
            (1, 4, 4, 1),
            np.int32,
            (1, 2, 2, 1),
            np.int32,
            options(**(POOL | {"filter_width": 5})),
        ),
        "does not fit",
    ),
    (
        "LceBMaxPool2d",
        one_op("LceBMaxPool2d", (1, 4, 4, 1), np.float32, (1, 2, 2, 1), np.int32, options(**POOL)),
        "must be int32",
    ),
    ("MAX_POOL_2D", pool_of_floats(strideH=0), "one is 0"),
    ("MAX_POOL_2D", pool_of_floats(filterWidth=-3), "one is -3"),
    ("MAX_POOL_2D", pool_of_floats(filterHeight=2**31 - 1), "one is 2147483647"),
    ("MAX_POOL_2D", pool_of_floats(filterHeight=5), "does not fit"),
]


@pytest.mark.parametrize(
    ("name", "model", "expected"), OTHERS, ids=[f"{n}-{r}" for n, _, r in OTHERS]
)
def test_malformed_operators_are_refused_with_the_reason(name, model, expected, reason):
    message = reason(model)
    assert f"onebit: {name} (node 0)" in message
    assert expected in message


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("num_threads", "0", "1 to 64"),
        ("num_threads", "two", "1 to 64"),
        ("isa", "mmx", "expected scalar"),
        ("kernel", "b1_bconv_9x9__mmx", "has no such kernel"),
        ("colour", "red", "unknown"),
        ("fuse", "maybe", "0 or 1"),
        ("profile", "x" * 600, "too long"),
    ],
)
def test_wrong_delegate_option_is_refused_with_the_reason(option, value, expected, onebit_delegate):
    from ai_edge_litert.interpreter import load_delegate

    with pytest.raises(ValueError, match=expected):
        load_delegate(str(onebit_delegate.library_path()), {option: value})


def test_option_kernel_must_fit_the_option_isa(onebit_delegate, isas):
    if len(isas) == 1:
        pytest.skip("this machine has the scalar kernels only")
    from ai_edge_litert.interpreter import load_delegate

    kernel = next(k for k in KERNELS if k.isa == isas[1])
    pair = {"kernel": kernel.name, "isa": "scalar"}
    for both in (pair, dict(reversed(pair.items()))):
        with pytest.raises(ValueError, match=f"needs isa={kernel.isa}, and isa=scalar is set"):
            load_delegate(str(onebit_delegate.library_path()), both)


def written_twice(second):
    """Two operators that write one tensor, the first a larger one; and its name."""
    g = Graph()
    x = g.tensor([1, 8, 8, 64])
    bits = g.quantize(x)
    filters = np.ones((1024, 1, 1, 64), int)
    thresholds = np.full(1024, 16)
    out = g.bconv(bits, filters, channels_in=64, thresholds=thresholds, out_type=np.int32)
    if second == "LceBconv2d":
        g.bconv(bits, filters[:1], channels_in=64, thresholds=[16], out_type=np.int32)
    else:
        g.reshape(g.tensor([1, 8, 8, 1], np.int32, np.zeros(64)), [1, 8, 8, 1])
    g.graph.operators[-1].outputs = [out]
    return g.build([x], [out])


def output_is_a_constant(builtin):
    g = Graph()
    x = g.tensor([1, 4, 4, 64])
    if builtin:
        out = g.constant(np.full((1, 4, 4, 64), 7, np.float32))
        g.max_pool(g.dequantize(g.quantize(x), 64), (2, 2), (1, 1))
    else:
        out = g.constant(np.full((1, 4, 4, 2), 7, np.int32))
        g.quantize(x)
    g.graph.operators[-1].outputs = [out]
    return g.build([x], [out])


def read_before_written():
    g = Graph()
    x = g.tensor([1, 4, 4, 64])
    late = g.tensor([1, 4, 4, 2], np.int32)
    g.dequantize(late, 64)
    g.quantize(x)
    g.graph.operators[-1].outputs = [late]
    return g.build([x], [2])


def output_is_a_variable():
    g = Graph()
    x = g.tensor([1, 4, 4, 64])
    bits = g.quantize(x)
    g.graph.tensors[bits].isVariable = True
    return g.build([x], [bits])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (written_twice("LceBconv2d"), "another operator writes its output, too"),
        (written_twice("RESHAPE"), "another operator writes its output, too"),
        (output_is_a_constant(False), "its output is a constant of the file"),
        (read_before_written(), "its output is read before it is written"),
        (output_is_a_variable(), "its output is a variable tensor"),
    ],
)
def test_output_that_is_not_the_operators_alone_is_refused(model, expected, reason):
    assert expected in reason(model)


def test_built_in_operator_that_writes_a_constant_is_the_interpreters(reason):
    """It is not claimed, and the stock interpreter says what it has to say."""
    assert "onebit" not in reason(output_is_a_constant(True))


def test_thousands_of_values_are_planned_fast(onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    g = Graph()
    x = g.tensor([1, 64])
    values = [g.dequantize(g.quantize(x), 64) for _ in range(2000)]
    last = [g.quantize(value) for value in values][-1]
    model = g.build([x], [last])
    interpreter = Interpreter(
        model_content=model, experimental_delegates=[onebit_delegate.load(fuse=False)]
    )
    start = time.process_time()
    interpreter.allocate_tensors()
    # A plan that begins again after each collision takes 5 s; this one some milliseconds.
    assert time.process_time() - start < 1


def test_correction_of_a_large_window_is_computed_fast(onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    g = Graph()
    x = g.tensor([1, 128, 128, 32])
    filters = np.ones((4, 128, 128, 32), int)
    scale = np.ones(4)
    out = g.bconv(g.quantize(x), filters, channels_in=32, scale=scale, bias=scale, pad_values=0)
    interpreter = Interpreter(
        model_content=g.build([x], [out]), experimental_delegates=[onebit_delegate.load()]
    )
    start = time.process_time()
    interpreter.allocate_tensors()
    # A sum over all taps for each class of positions takes 13 s.
    assert time.process_time() - start < 2
