"""The inputs and outputs of a `.tflite` file by name: its signature (`SignatureDef`)."""

from collections.abc import Iterable, Sequence

import numpy as np

from convert.tflite.graph import Graph, schema

KEY = b"serving_default"


def input_names(graph: Graph) -> list[str]:
    """The names of a file's inputs in the file's order; the tensors' where no signature has any."""
    return _names(graph, "inputs")


def output_names(graph: Graph) -> list[str]:
    """The names of a file's outputs in the file's order; the tensors' where no signature has any.

    A tensor that is several outputs has the names of all, in the order of the signature.
    """
    return _names(graph, "outputs")


def _names(graph: Graph, side: str) -> list[str]:
    known: dict[int, list[str]] = {}
    for signature in graph.signatures()[:1]:
        for entry in getattr(signature, side) or []:
            name = (entry.name or b"").decode("utf-8", "replace")
            known.setdefault(entry.tensorIndex, []).append(name)
    found = []
    for index in map(int, getattr(graph.subgraph, side)):
        names = known.get(index)
        # The last name stays, for a tensor that comes up more often than it has names.
        name = names[0] if names else graph.tensor_name(index)
        if names and len(names) > 1:
            names.pop(0)
        found.append(name)
    return found


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, with a number behind each that came up before: `a, a` → `a, a_2`."""
    found: dict[str, None] = {}
    for name in names:
        count, candidate = 2, name
        while candidate in found:
            candidate, count = f"{name}_{count}", count + 1
        found[candidate] = None
    return list(found)


def order_ends(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Puts a file's inputs and outputs in the order of the given names of its signature.

    A file without a signature stays as it is.
    """
    for signature in graph.signatures()[:1]:
        for side, names in (("inputs", inputs), ("outputs", outputs)):
            entries = getattr(signature, side) or []
            tensors = {(entry.name or b"").decode(): entry.tensorIndex for entry in entries}
            ordered = np.array([tensors[name] for name in names], np.int32)
            setattr(graph.subgraph, side, ordered)


def write_signature(
    graph: Graph, inputs: Sequence[str], outputs: Sequence[str], key: bytes = KEY
) -> None:
    """Names a file's inputs and outputs, which the file has in this order."""
    signature = schema.SignatureDefT()
    signature.signatureKey = key
    signature.subgraphIndex = graph.number
    signature.inputs = [
        _entry(name, index) for name, index in zip(inputs, graph.subgraph.inputs, strict=True)
    ]
    signature.outputs = [
        _entry(name, index) for name, index in zip(outputs, graph.subgraph.outputs, strict=True)
    ]
    graph.model.signatureDefs = [signature]


def _entry(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(index)
    return entry
