"""Metadata in `.tflite` files: the buffer, and the zip archive behind the model.

The archive's entries lie uncompressed and their offsets count from the file's begin, as the writers
of TensorFlow Lite Support leave them; a TensorFlow Lite runtime ignores what follows the model.
"""

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace

from flatbuffers import number_types

from onebit.errors import OnebitError, first_line
from onebit.files import ARCHIVE_DAMAGE
from onebit.metadata.facts import Metadata
from onebit.metadata.schema import decode
from onebit.metadata.tables import Table

BUFFER_NAME = "TFLITE_METADATA"
LABEL_FILE = "labels.txt"

MOST_BYTES = 1 << 26
"""Of an associated file; one that claims to be larger is not read."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of entries, the earliest of zip archives: the same labels give the same bytes."""

DAMAGE = (AttributeError, IndexError, TypeError, ValueError, struct.error)
"""Errors that the reader raises on damaged bytes; it checks nothing itself."""


def read_metadata(content: bytes, name: str) -> Metadata | None:
    """The metadata of a `.tflite` file; None where it has none.

    Args:
        content: The file.
        name: What error messages call it.

    Raises:
        OnebitError: The file or its metadata are damaged, or the file of labels that they name is
            not there.
    """
    try:
        buffer = metadata_buffer(content)
    except DAMAGE as error:
        raise OnebitError(f"{name} is truncated or damaged: {first_line(error)}") from error
    if buffer is None:
        return None
    try:
        facts, label_file = decode(buffer)
    except DAMAGE as error:
        raise OnebitError(f"the metadata of {name} are damaged: {first_line(error)}") from error
    if label_file is None:
        return facts
    files = associated_files(content, name)
    if label_file not in files:
        raise OnebitError(f"the metadata of {name} name {label_file}, which the file lacks")
    return replace(facts, labels=tuple(files[label_file].decode("utf-8", "replace").splitlines()))


def metadata_buffer(content: bytes) -> bytes | None:
    """The FlatBuffer of a file's metadata as it is; None where there is none.

    The model's fields are those of TensorFlow Lite's schema: buffers 4, metadata 6.
    """
    model = Table.root(content)
    for entry in model.tables(6):
        if entry.text(0) == BUFFER_NAME:
            number = entry.number(1, number_types.Uint32Flags)
            return model.tables(4)[number].content(0)
    return None


def associated_files(content: bytes, name: str) -> dict[str, bytes]:
    """The files in the archive behind a model, by their names; none where there is no archive.

    Args:
        content: The file.
        name: What error messages call it.

    Raises:
        OnebitError: The archive is damaged, or a file in it is too large.
    """
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return {}
    try:
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if entry.file_size > MOST_BYTES:
                    raise OnebitError(f"{entry.filename} in {name} is over {MOST_BYTES} bytes")
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except (*DAMAGE, *ARCHIVE_DAMAGE) as error:
        raise OnebitError(f"the archive in {name} is damaged: {first_line(error)}") from error


def with_files(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """A model with an archive of these files behind it; the model itself where there are none."""
    if not files:
        return content
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return stream.getvalue()
