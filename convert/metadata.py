"""Metadata of converted files: what a model card and the command line say, checked and written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.errors import SourceError
from convert.tflite.graph import DTYPES, Graph, schema
from convert.tflite.signature import input_names, output_names
from onebit.metadata import (
    LABEL_FILE,
    Metadata,
    Normalization,
    Tensor,
    associated_files,
    encode,
    metadata_buffer,
    read_labels,
    with_files,
)
from onebit.metadata.files import BUFFER_NAME


@dataclass(frozen=True)
class Describing:
    """Facts for the file's metadata; None leaves those that are known."""

    labels: Path | None = None
    normalize: Normalization | None = None
    author: str | None = None
    license: str | None = None
    description: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no option was given."""
        return self == Describing()


def metadata_of_card(card: Mapping[str, Any]) -> Metadata:
    """The facts in a trained model's card: name, data set, classes, and pixels as numbers.

    Whitening and normalisation of contrast, which metadata have no fields for, are described in
    words, and then no normalisation is given, nor is one for inputs other than images.
    """
    preprocessing = card.get("preprocessing") or {}
    description = f"{card['name']} trained on {card['dataset']['name']}"
    normalization = {}
    fitted = [
        words
        for words, is_done in (
            (f"{preprocessing.get('contrast')} contrast normalisation", _has_contrast(card)),
            ("whitening", preprocessing.get("whitening")),
        )
        if is_done
    ]
    if fitted:
        description += f"; its images need {' and '.join(fitted)}"
    elif preprocessing and len(card["input_shape"]) == 3:
        scale, offset = (np.ravel(preprocessing[key]).tolist() for key in ("scale", "offset"))
        normalization[0] = Normalization.from_scale(scale, offset)
    labels = tuple(map(str, card.get("classes") or ()))
    return Metadata(card["name"], description, labels=labels, normalization=normalization)


def _has_contrast(card: Mapping[str, Any]) -> bool:
    return (card.get("preprocessing") or {}).get("contrast") not in (None, "none")


def described(metadata: Metadata, given: Describing) -> Metadata:
    """Metadata with what the command line gives in the place of what was known.

    Raises:
        OnebitError: The file of labels cannot be read.
    """
    texts = {
        key: text
        for key in ("description", "author", "license")
        if (text := getattr(given, key)) is not None
    }
    labels = metadata.labels if given.labels is None else tuple(read_labels(given.labels))
    normalization = metadata.normalization
    if given.normalize is not None:
        normalization = {0: given.normalize}
    return replace(metadata, **texts, labels=labels, normalization=normalization)


def with_metadata(graph: Graph, metadata: Metadata | None) -> bytes:
    """The `.tflite` file of a graph with metadata, if they say more than a name.

    Raises:
        SourceError: The labels are not as many as the classes, there is no single output of
            classes, or an input that is to be normalised does not exist, takes no pixels, or has
            other channels than the normalisation.
    """
    if metadata is None or metadata.is_empty:
        return graph.to_bytes()
    inputs = list(zip(input_names(graph), map(int, graph.subgraph.inputs), strict=True))
    outputs = list(zip(output_names(graph), map(int, graph.subgraph.outputs), strict=True))
    _check_labels(graph, metadata)
    for number, normalization in metadata.normalization.items():
        if number not in range(len(inputs)):
            raise SourceError(
                f"there is a normalisation of input {number}, and the model has the inputs 0 to "
                f"{len(inputs) - 1}"
            )
        _check_pixels(graph, *inputs[number], len(inputs), normalization)
    _set_buffer(
        graph,
        encode(
            metadata,
            [Tensor(name, tuple(graph.shape(index))) for name, index in inputs],
            [Tensor(name, tuple(graph.shape(index))) for name, index in outputs],
            LABEL_FILE,
        ),
    )
    labels = "".join(f"{label}\n" for label in metadata.labels).encode()
    return with_files(graph.to_bytes(), {LABEL_FILE: labels} if labels else {})


def with_metadata_of(graph: Graph, source: bytes, name: str) -> bytes:
    """The file of a graph that a file was changed to: its metadata stay, also those unknown here.

    Args:
        graph: The graph, with the inputs and outputs of the source.
        source: The file that it was made from.
        name: What error messages call that file.
    """
    buffer = metadata_buffer(source)
    if buffer is None:
        return graph.to_bytes()
    _set_buffer(graph, buffer)
    return with_files(graph.to_bytes(), associated_files(source, name))


def _set_buffer(graph: Graph, content: bytes) -> None:
    """Stores a FlatBuffer of metadata in the place of an earlier one."""
    model = graph.model
    name = BUFFER_NAME.encode()
    entries = [entry for entry in model.metadata or [] if entry.name == name]
    if not entries:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata = [*(model.metadata or []), entry]
        entries = [entry]
    model.buffers[entries[0].buffer].data = np.frombuffer(content, np.uint8)


def _check_labels(graph: Graph, metadata: Metadata) -> None:
    if not metadata.labels:
        return
    shapes = [graph.shape(int(index)) for index in graph.subgraph.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        listed = ", ".join(map(str, shapes))
        raise SourceError(
            f"labels name the classes of one output [1, classes], not of {listed}",
            hint="leave --labels (labels) out",
        )
    if len(metadata.labels) != shapes[0][1]:
        raise SourceError(
            f"there are {len(metadata.labels)} labels, and the model has {shapes[0][1]} classes",
            hint="give a file with a line for each class",
        )


def _check_pixels(
    graph: Graph, name: str, index: int, inputs: int, normalization: Normalization
) -> None:
    shape = graph.shape(index)
    dtype = DTYPES.get(graph.subgraph.tensors[index].type)
    if inputs != 1 or len(shape) != 4:
        raise SourceError(
            f"a normalisation of pixels is for models with one input [1, height, width, channels], "
            f"and this one takes {inputs} inputs, {name} as {shape}"
        )
    if dtype == np.uint8:
        raise SourceError(
            f"input {name} takes the pixels themselves, as uint8",
            hint="leave --normalize (normalization) out",
        )
    if normalization.channels not in (1, shape[3]):
        raise SourceError(
            f"the normalisation has {normalization.channels} channels, input {name} {shape[3]}"
        )
