"""Reading `.tflite` files from disk."""

import os
from pathlib import Path

from convert.errors import FlatbufferError
from onebit.errors import unreadable
from onebit.files import TFLITE_IDENTIFIER, read_tflite


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a `.tflite` file.

    Raises:
        FlatbufferError: It is missing, unreadable, or something else than a `.tflite` file.
    """
    try:
        content = read_tflite(Path(path))
    except OSError as error:
        raise FlatbufferError(unreadable(path, error)) from error
    if content is None:
        raise FlatbufferError(
            f"{path} is not a .tflite file (no {TFLITE_IDENTIFIER.decode()} identifier): "
            "give a file written by a TensorFlow Lite or Larq converter"
        )
    return content
