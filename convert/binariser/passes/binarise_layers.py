"""Convolutions and dense layers of ±1 with ±r → LceBconv2d.

    CONV_2D(x, W) + b                        W[o, …] = r[o]·±1, x = ±1
    →   LceBconv2d(LceQuantize(x), pack(W))·r + b

The sum of products of ±1 is an integer, exact up to 2^24 terms; multiplied by r[o] it is rounded
once, where the float layer rounds each addition of ±r[o].

A dense layer on `[N, …, D]` is the 1×1 convolution of the image `[N, 1, S, D]` with S the product
of the dimensions between. What stands between a sign and its layer and only moves, picks or joins
±1 stays there, in float: bits are taken again behind it, and `cancel_quantize_pairs` moves words
instead where it can. A border of ±1 is such an operator too, but LceBconv2d itself has one of zeros
and one of +1, as wide as SAME makes it.

LceQuantize of a zero would be +1: so a border of zeros of any other width keeps its layer float.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.binariser.elementwise import ACTIVATION_OPS
from convert.binariser.padding import Border, border_of, pad_value
from convert.errors import ConversionError
from convert.tflite.graph import FLOAT32, Graph, schema
from convert.tflite.make_ops import make_custom_op, make_reshape
from convert.tflite.moves import JOINS, MOVES
from convert.tflite.open_sizes import has_open_sizes
from convert.tflite.scales import has_binary_rows, row_scales
from onebit import bits

_SAME, _VALID = 0, 1
_ACTIVATION = schema.ActivationFunctionType


def binarise_layers(graph: Graph) -> list[str]:
    """Makes layers with binary inputs and weights binary; returns the names of their outputs.

    It does not fire where inputs or weights are other than ±1 and ±r, for borders of zeros that are
    not those of SAME, nor for groups of a number of channels that is not a multiple of 32.

    Raises:
        ConversionError: The sizes of such a layer's input are open.
    """
    changed = []
    for op in list(graph.operators):
        layer = _layer(graph, op)
        if layer is None:
            continue
        if has_open_sizes(graph, graph.data_input(op)):
            raise ConversionError(
                f"the input of {graph.tensor_name(graph.outputs(op)[0])} has sizes that are known "
                "only when the file runs: LCE's operators need fixed sizes",
                hint="export the model with a fixed batch, and without operators whose outputs' "
                "sizes depend on numbers in front of binary layers",
                reason="dynamic-shape",
            )
        changed.append(graph.tensor_name(graph.outputs(op)[0]))
        graph.replace_op(op, _operators(graph, op, layer))
    if changed:
        graph.drop_unread_ops()
    return changed


def gives_signs(graph: Graph, index: int) -> bool:
    """Whether every number of a tensor is -1 or +1: unpacked bits, perhaps moved about."""
    op = graph.producer(index)
    if op is None:
        return False
    name = graph.op_name(op)
    if name == "LceDequantize":
        return graph.subgraph.tensors[index].type == FLOAT32
    if name in JOINS:
        return all(gives_signs(graph, i) for i in graph.inputs(op))
    if name in ("PAD", "PADV2") and pad_value(graph, op) not in (-1, 1):
        return False
    if name == "MAX_POOL_2D" and op.builtinOptions.fusedActivationFunction != _ACTIVATION.NONE:
        return False
    return name in (*MOVES, "PAD", "PADV2", "MAX_POOL_2D") and gives_signs(
        graph, graph.data_input(op)
    )


@dataclass(frozen=True)
class _Layer:
    """A layer that can become binary.

    Attributes:
        weights: Its filter, `[O, KH, KW, C/groups]`.
        bias: `[O]`.
        border: The border of a convolution; None for a dense layer.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    border: Border | None


def _layer(graph: Graph, op: Any) -> _Layer | None:
    name = graph.op_name(op)
    if name not in ("CONV_2D", "FULLY_CONNECTED"):
        return None
    weights = graph.constant(graph.inputs(op)[1])
    if weights is None or weights.dtype != np.float32 or not has_binary_rows(weights):
        return None
    bias = np.zeros(len(weights), np.float32)
    if graph.bias_input(op) >= 0:
        stored = graph.constant(graph.bias_input(op))
        if stored is None or stored.dtype != np.float32:
            return None
        bias = stored.reshape(-1)
    data, options = graph.data_input(op), op.builtinOptions
    if options.fusedActivationFunction not in (_ACTIVATION.NONE, *ACTIVATION_OPS):
        return None
    if name == "FULLY_CONNECTED":
        usable = options.weightsFormat == 0 and gives_signs(graph, data)
        return _Layer(weights[:, np.newaxis, np.newaxis], bias, None) if usable else None
    border = border_of(graph, op)
    if not gives_signs(graph, border.source):
        return None
    per_group, channels = weights.shape[-1], graph.shape(data)[-1]
    if per_group != channels and (
        per_group % bits.WORD_BITS or channels % per_group or len(weights) % (channels // per_group)
    ):
        return None
    return _Layer(weights, bias, border)


def _operators(graph: Graph, op: Any, layer: _Layer) -> list[Any]:
    """The operators in the place of a layer: bits, convolution, and what it cannot fuse."""
    (output,), options = graph.outputs(op), op.builtinOptions
    name, shape = graph.tensor_name(output), graph.shape(output)
    scales, activation = row_scales(layer.weights), options.fusedActivationFunction
    steps: list[Any] = []
    settings = dict.fromkeys(("stride_height", "stride_width"), 1)
    settings |= dict.fromkeys(("dilation_height_factor", "dilation_width_factor"), 1)
    settings |= {"padding": _VALID, "pad_values": 0}
    image = graph.data_input(op)
    if layer.border is None:
        image, steps = _as_image(graph, op, layer)
        product_shape = [*graph.shape(image)[:3], len(scales)]
    else:
        product_shape = shape
        image = layer.border.source
        settings |= {
            "stride_height": options.strideH,
            "stride_width": options.strideW,
            "dilation_height_factor": options.dilationHFactor,
            "dilation_width_factor": options.dilationWFactor,
            "padding": _SAME if layer.border.same else _VALID,
            "pad_values": int(layer.border.same and layer.border.value),
        }
    *outer, channels = graph.shape(image)
    words = graph.add_words(f"{name}/words", [*outer, bits.packed_length(channels)])
    steps.append(graph.make_op("LceQuantize", [image], [words]))
    # Relu(r·x) = r·Relu(x); LCE takes no activation with a border of zeros.
    zeros = settings["padding"] == _SAME and not settings["pad_values"]
    fused = activation == _ACTIVATION.RELU or bool((scales == 1).all())
    fused = activation != _ACTIVATION.NONE and fused and not zeros and not layer.bias.any()
    constants = [
        graph.add_constant(f"{name}/bits", bits.pack(layer.weights)),
        graph.add_constant(f"{name}/multiplier", scales.astype("<f4")),
        graph.add_constant(f"{name}/bias", layer.bias.astype("<f4")),
    ]
    apart = activation != _ACTIVATION.NONE and not fused
    reshaped = layer.border is None
    target = graph.add_tensor(f"{name}/product", product_shape) if reshaped else output
    if not reshaped and apart:
        target = graph.add_tensor(f"{name}/product", product_shape)
    steps.append(
        make_custom_op(
            graph,
            "LceBconv2d",
            [words, *constants, -1],
            [target],
            {
                "channels_in": channels,
                "fused_activation_function": activation if fused else _ACTIVATION.NONE,
                **settings,
            },
        )
    )
    if reshaped:
        source, target = target, graph.add_tensor(f"{name}/rows", shape) if apart else output
        steps.append(make_reshape(graph, source, target))
    if apart:
        steps.append(graph.make_op(ACTIVATION_OPS[activation], [target], [output]))
    return steps


def _as_image(graph: Graph, op: Any, layer: _Layer) -> tuple[int, list[Any]]:
    """A dense layer's input `[N, …, D]` as `[N, 1, S, D]`, and the operator that makes it so.

    An input `[D]`, whose output is `[O]`, is one sample.
    """
    data, depth = graph.data_input(op), layer.weights.shape[-1]
    rows = math.prod(graph.shape(data)) // depth
    output = graph.shape(graph.outputs(op)[0])
    batch = output[0] if len(output) > 1 else 1
    image = graph.add_tensor(f"{graph.tensor_name(data)}/image", [batch, 1, rows // batch, depth])
    return image, [make_reshape(graph, data, image)]
