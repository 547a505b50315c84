"""The binary weights of a `.tflite` file as plain arrays, for people who write their own kernels.

docs/converting.md, "Packed weights", describes the layout of the `.npz` file.
"""

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.auditing.describe import scaling_ops
from convert.auditing.layers import audited_layers
from convert.auditing.tables import table_constants
from convert.errors import ConversionError
from convert.int8.layer_matching import int8_filter
from convert.int8.values import scale_of
from convert.report import Layer
from convert.targets.own_files import require_own_weights
from convert.targets.target import Export, Target
from convert.tflite.damage import refusing_damage
from convert.tflite.filters import binary_filter_shape, filter_signs, stored_filter
from convert.tflite.graph import Graph
from convert.tflite.scales import channels_first, row_scales
from onebit import bits
from onebit.files import write_arrays

LAYOUT_VERSION = 1


def packed_weights(content: bytes, name: str = "the file") -> dict[str, NDArray[Any]]:
    """The arrays of every layer with binary weights, and their description.

    Args:
        content: A `.tflite` file.
        name: What error messages call it.

    Returns:
        `LAYER/bits` int32 `[O, KH, KW, ⌈I/32⌉]`, with the layer's other arrays as
        docs/converting.md lists them, and `layout`, a JSON text with the layers' order and shapes.

    Raises:
        ConversionError: No layer of the file has binary weights.
        FlatbufferError: The content is not a `.tflite` file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    described = []
    with refusing_damage(name, "read"):
        for graph, op, layer in audited_layers(Graph.from_bytes(content, name)):
            if layer.kind not in ("binary", "binary_weights"):
                continue
            label = _unused(layer.name, arrays)
            if layer.op == "LceBconv2d":
                found = _binary(graph, op)
            elif layer.op == "GATHER":
                found = _rows(graph, op)
            else:
                found = _weight_only(graph, op, layer)
            arrays |= {f"{label}/{key}": value for key, value in found.items()}
            described.append(_description(graph, op, layer, label))
    if not described:
        raise ConversionError(f"no layer of {name} has packed binary weights: audit it to see why")
    layout = {"layout_version": LAYOUT_VERSION, "layers": described}
    return {**arrays, "layout": np.array(json.dumps(layout))}


def write_packed_weights(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]]) -> None:
    """Writes the arrays to an `.npz` file, whole or not at all."""
    write_arrays(path, arrays)


def _unused(label: str, arrays: dict[str, NDArray[Any]]) -> str:
    """A label that no earlier layer has: the same with a number behind it."""
    taken = {key.rsplit("/", 1)[0] for key in arrays}
    count, candidate = 2, label
    while candidate in taken:
        candidate, count = f"{label}_{count}", count + 1
    return candidate


def _binary(graph: Graph, op: Any) -> dict[str, NDArray[Any]]:
    """The constants of an LceBconv2d by name; those that it does not use are left out."""
    names = ("bits", "multiplier", "bias", "thresholds")
    values = {
        name: graph.constant(index)
        for name, index in zip(names, graph.inputs(op)[1:], strict=False)
        if index >= 0
    }
    return {name: value for name, value in values.items() if value is not None and value.size}


def _weight_only(graph: Graph, op: Any, layer: Layer) -> dict[str, NDArray[Any]]:
    """Bits, scales and bias of a filter behind LceDequantize, output channels first."""
    shape, name = layer.filter_shape, layer.op
    source, _ = stored_filter(graph, graph.inputs(op)[1])
    negative = filter_signs(graph, op, source, shape)
    if negative is None:
        raise ConversionError(f"{layer.name}: the filter is not stored in the file")
    if negative.ndim == 2:
        negative = negative[:, np.newaxis, np.newaxis, :]
    elif name == "DEPTHWISE_CONV_2D":
        negative = negative[..., np.newaxis]
    found: dict[str, NDArray[Any]] = {"bits": bits.pack(np.where(negative, -1, 1))}
    bias = graph.constant(graph.bias_input(op)) if graph.bias_input(op) >= 0 else None
    if bias is not None:
        found["bias"] = bias
    data, integers = graph.data_input(op), int8_filter(graph, op)
    if integers is not None:
        scales, steps = (
            row_scales(channels_first(name, values.astype(np.float32))) for values in integers
        )
        found["multiplier"] = scales
        in_step = scale_of(graph, data)
        if bias is not None and in_step is not None:
            found["bias"] = (bias * (in_step * steps)).astype(np.float32)
    for part in scaling_ops(graph, op):
        values = [v for i in graph.inputs(part) if (v := graph.constant(i)) is not None]
        if data in graph.outputs(part):
            found["input_scale"] = values[0]
        else:
            found["multiplier" if graph.op_name(part) == "MUL" else "bias"] = values[0]
    return found


def _rows(graph: Graph, op: Any) -> dict[str, NDArray[Any]]:
    """Bits and scales of a packed table, one row an output channel."""
    constants = [graph.constant(i) for i in table_constants(graph, op)]
    stored = [constant for constant in constants if constant is not None]
    found = {"bits": stored[0][:, np.newaxis, np.newaxis]}
    if len(stored) > 1:
        found["multiplier"] = stored[1].reshape(-1)
    return found


def _description(graph: Graph, op: Any, layer: Layer, label: str) -> dict[str, Any]:
    shape = layer.filter_shape
    if layer.op == "LceBconv2d":
        shape = binary_filter_shape(graph, op)
    elif layer.op == "DEPTHWISE_CONV_2D":
        shape = [shape[3], shape[1], shape[2], 1]
    elif len(shape) == 2:
        shape = [shape[0], 1, 1, shape[1]]
    return {
        "name": label,
        "op": layer.op,
        "kind": layer.kind,
        "filter_shape": shape,
        "output_shape": layer.output_shape,
        "options": graph.custom_options(op),
    }


def summary(arrays: dict[str, NDArray[Any]]) -> str:
    """How many layers the arrays hold, and in how many bytes of bits."""
    bits_ = [value for key, value in arrays.items() if key.endswith("/bits")]
    return f"{len(bits_)} layers, {sum(value.nbytes for value in bits_):,} bytes of bits"


def _write(export: Export) -> str:
    arrays = packed_weights(export.content, export.source)
    write_packed_weights(export.path, arrays)
    return summary(arrays)


TARGET = Target(_write, require_own_weights, ".npz")
