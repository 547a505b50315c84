"""Facts about a model that travel in its `.tflite` file: labels, preprocessing, author, licence.

They are TensorFlow Lite's metadata, which other tools read and write too: a FlatBuffer in the
file's buffer `TFLITE_METADATA`, and the files that it names in a zip archive behind the model.
https://ai.google.dev/edge/litert/conversion/tensorflow/metadata
"""

from onebit.metadata.facts import Metadata, Normalization, read_labels
from onebit.metadata.files import (
    LABEL_FILE,
    associated_files,
    metadata_buffer,
    read_metadata,
    with_files,
)
from onebit.metadata.schema import Tensor, encode, left_out
from onebit.metadata.structure import require_whole

__all__ = [
    "LABEL_FILE",
    "Metadata",
    "Normalization",
    "Tensor",
    "associated_files",
    "encode",
    "left_out",
    "metadata_buffer",
    "read_labels",
    "read_metadata",
    "require_whole",
    "with_files",
]
