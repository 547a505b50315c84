"""The names of tensors: which layer computes them, and which sign's bits they hold.

Converters name a tensor after all operators that they joined in it, `A/Conv2D;B/FusedBatchNorm`.
Bits have the name of their sign's ±1 in the float file, with `|` for `;` and `/bits` behind it: by
these names a binary file is compared with the float file that it was made of, bit by bit. Passes
that leave a tensor of bits behind hand its name on to the one that holds the same bits.
"""

import re
from collections.abc import Sequence

from convert.tflite.graph import Graph

_BITS = "/bits"
_JOINT = "|"

# The operators that multiply, as TensorFlow, JAX and PyTorch name them, behind their layer's name.
_MULTIPLIES = re.compile(
    r".*/(?:\w*(?:Conv[123]D|MatMul|BiasAdd|Tensordot)\w*"
    r"|(?:conv_general_dilated|convolution|depthwise|dot_general|einsum|separable)\w*)(?=/|$)"
)


def layer_part(name: str) -> str:
    """The part of a tensor's name that says which layer multiplies, else the first part."""
    parts = name.split(";")
    found = next(filter(None, map(_MULTIPLIES.match, parts)), None)
    return parts[0] if found is None else found[0]


def known_layer(name: str, layers: Sequence[str]) -> str | None:
    """The first of a model's layers that a tensor's name holds; Keras 3 puts a number behind it."""
    for part in re.split("[;/]", name):
        for text in (re.sub(r"_\d+$", "", part), part):
            if text in layers:
                return text
    return None


def bits_name(sign: str) -> str:
    """The name of the bits of the ±1 of this name, whose own parts stay together."""
    return f"{sign.replace(';', _JOINT)}{_BITS}"


def joined_name(layer: str, name: str) -> str:
    """The name of what a layer computes together with what followed it: its own in front."""
    return f"{layer_part(layer)};{name}"


def sign_parts(name: str) -> list[str]:
    """The names of the ±1 that a tensor's name says its bits are of."""
    parts = [part for part in name.split(";") if part.endswith(_BITS)]
    return [part.removesuffix(_BITS).replace(_JOINT, ";") for part in parts]


def find_bits(graph: Graph) -> dict[str, int]:
    """Name of ±1 in the float file → the tensor of its bits; the first of several."""
    found: dict[str, int] = {}
    for op in graph.operators:
        for index in graph.outputs(op):
            for sign in sign_parts(graph.tensor_name(index)):
                found.setdefault(sign, index)
    return found


def hand_on(graph: Graph, dropped: int, heir: int) -> None:
    """Gives a tensor the name of bits that are left behind, unless it has such a name already."""
    name = graph.tensor_name(dropped)
    if name.endswith(_BITS) and not graph.tensor_name(heir).endswith(_BITS):
        graph.subgraph.tensors[heir].name = name.encode()
