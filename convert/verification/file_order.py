"""The order of a file's inputs and outputs, where it is another than Keras'.

Files of this version have Keras' order and names. Those of others are matched by the names in their
signature, else by the order where the shapes allow it, else by shapes that no two have.
"""

from collections.abc import Sequence

from convert.errors import ConversionError
from convert.keras_model.signature import Signature
from convert.tflite.graph import Graph
from convert.tflite.signature import input_names, output_names


def input_order(graph: Graph, signature: Signature) -> list[int]:
    """For each input of the file, the number of Keras' input that it is.

    Raises:
        ConversionError: The file takes other inputs than the model.
    """
    shapes = [graph.shape(int(i))[1:] for i in graph.subgraph.inputs]
    expected = [spec.shape.as_list()[1:] for spec in signature.specs]
    for names in (signature.names, signature.aliases):
        order = _order(input_names(graph), shapes, names, expected)
        if order is not None:
            return order
    raise ConversionError(
        f"the file takes inputs of the shapes {shapes}, the model {expected}: it was made from "
        "another model"
    )


def output_order(graph: Graph, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> list[int]:
    """For each output of the file, the number of Keras' output that it is.

    Args:
        graph: The file.
        names: The names of Keras' outputs.
        shapes: Their shapes, without the batch.

    Raises:
        ConversionError: The file gives other outputs than the model.
    """
    found = [graph.shape(int(i))[1:] for i in graph.subgraph.outputs]
    expected = [list(shape) for shape in shapes]
    order = _order(output_names(graph), found, names, expected)
    if order is None:
        raise ConversionError(
            f"the file's outputs have the shapes {found}, Keras' {expected}: it was made from "
            "another model"
        )
    return order


def _order(
    file_names: Sequence[str],
    file_shapes: Sequence[Sequence[int]],
    names: Sequence[str],
    shapes: Sequence[Sequence[int]],
) -> list[int] | None:
    """File's position → Keras' position; None where they do not match."""
    if len(file_names) != len(names):
        return None
    if sorted(file_names) == sorted(names) and len(set(names)) == len(names):
        order = [list(names).index(name) for name in file_names]
        if [shapes[i] for i in order] == list(file_shapes):
            return order
    if list(shapes) == list(file_shapes):
        return list(range(len(names)))
    if all(list(shapes).count(shape) == 1 for shape in file_shapes):
        return [list(shapes).index(shape) for shape in file_shapes]
    return None
