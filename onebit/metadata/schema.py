"""`Metadata` as a FlatBuffer of TensorFlow Lite's metadata schema, and back.

The schema is tensorflow_lite_support/metadata/metadata_schema.fbs, version 1.0: file identifier
`M001`, root `ModelMetadata`. The numbers below are the places of its fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flatbuffers import number_types

from onebit.metadata.facts import Metadata, Normalization
from onebit.metadata.tables import Fields, Table, byte, write

IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
"""The schema's version from which on readers know all that is written here."""

_FEATURES, _IMAGE = 1, 2  # ContentProperties
_RGB, _GRAYSCALE = 1, 2  # ColorSpaceType
_NORMALIZATION = 1  # ProcessUnitOptions
_AXIS_LABELS = 2  # AssociatedFileType


@dataclass(frozen=True)
class Tensor:
    """An input or output of a file: its name, and its shape with the batch in front."""

    name: str
    shape: tuple[int, ...]


def encode(
    metadata: Metadata, inputs: Sequence[Tensor], outputs: Sequence[Tensor], label_file: str
) -> bytes:
    """The FlatBuffer of a file's metadata.

    Args:
        metadata: The facts.
        inputs: All inputs in the file's order.
        outputs: All outputs; the first has the labels.
        label_file: The name of the file that holds them, a line each.
    """
    labels = {0: label_file, 1: "Names of the classes, a line each", 2: byte(_AXIS_LABELS)}
    subgraph = {
        0: metadata.name,
        2: [_input(each, metadata.normalization.get(i)) for i, each in enumerate(inputs)],
        3: [
            _features(each) | {6: [labels] if metadata.labels and i == 0 else None}
            for i, each in enumerate(outputs)
        ],
    }
    model = {
        0: metadata.name,
        1: metadata.description,
        3: [subgraph],
        4: metadata.author,
        5: metadata.license,
        7: PARSER_VERSION,
    }
    return write(model, IDENTIFIER)


def _input(tensor: Tensor, normalization: Normalization | None) -> Fields:
    if normalization is None:
        return _features(tensor)
    color = {1: _GRAYSCALE, 3: _RGB}.get(tensor.shape[-1], 0)
    options = {0: normalization.mean, 1: normalization.std}
    return {
        0: tensor.name,
        3: {0: byte(_IMAGE), 1: {0: byte(color)}},
        4: [{0: byte(_NORMALIZATION), 1: options}],
    }


def _features(tensor: Tensor) -> dict[int, object]:
    return {0: tensor.name, 3: {0: byte(_FEATURES), 1: {}}}


def decode(content: bytes) -> tuple[Metadata, str | None]:
    """The facts without labels, and the name of the file that holds those, if any.

    Of a model with several subgraphs those of the first, which is the model; of label files in
    several languages the first.

    Raises:
        ValueError: It is FlatBuffers of another kind, or its numbers make no sense.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"it has no {IDENTIFIER.decode()} identifier")
    model = Table.root(content)
    normalization: dict[int, Normalization] = {}
    label_file = None
    for subgraph in model.tables(3)[:1]:
        for number, tensor in enumerate(subgraph.tables(2)):
            for options in _units(tensor, _NORMALIZATION):
                normalization[number] = Normalization(options.floats(0), options.floats(1))
        outputs = subgraph.tables(3)
        files = outputs[0].tables(6) if outputs else []
        names = [file.text(0) for file in files if _type(file, 2) == _AXIS_LABELS]
        label_file = next((name for name in names if name), None)
    facts = Metadata(
        model.text(0), model.text(1), model.text(4), model.text(5), normalization=normalization
    )
    return facts, label_file


def left_out(content: bytes) -> list[str]:
    """The contents of a FlatBuffer of metadata beside the facts that `decode` gives, in words.

    Raises:
        ValueError: It is FlatBuffers of another kind, or its numbers make no sense.
    """
    facts, label_file = decode(content)
    model = Table.root(content)
    subgraphs = model.tables(3)
    tensors = [each for s in subgraphs for part in (2, 3) for each in s.tables(part)]
    files = [file for holder in (model, *tensors) for file in holder.tables(6)]
    files += [file for subgraph in subgraphs for file in subgraph.tables(4)]
    steps = sum(len(tensor.tables(4)) for tensor in tensors)
    steps += sum(len(subgraph.tables(part)) for subgraph in subgraphs for part in (5, 6))
    described = [each for holder in (*subgraphs, *tensors) if (each := holder.text(1))]
    return [
        *([f"version {version}"] if (version := model.text(2)) else []),
        *(f"the file {name}" for file in files if (name := file.text(0)) not in (None, label_file)),
        *(["descriptions of its parts"] if described else []),
        *(["steps of processing"] if steps > len(facts.normalization) else []),
    ]


def _units(tensor: Table, kind: int) -> list[Table]:
    """The options of a tensor's steps of one kind."""
    units = [unit.table(1) for unit in tensor.tables(4) if _type(unit, 0) == kind]
    return [options for options in units if options is not None]


def _type(table: Table, field: int) -> int:
    return table.number(field, number_types.Int8Flags)
