"""Model files and folders, whichever Keras wrote them: recognised without loading anything.

Nothing here imports TensorFlow, so that the process which can load a file is chosen by it.
"""

import contextlib
import inspect
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, Literal

from convert.errors import SourceError
from onebit.errors import OnebitError, first_line, unreadable
from onebit.files import ARCHIVE_DAMAGE, is_endless
from onebit.imports import run_file
from onebit.model_code import has_lambda_layer

Kind = Literal["keras2", "keras3", "saved_model"]

_PYTORCH = (
    "export the PyTorch model to a float .tflite file with litert-torch "
    "(litert_torch.convert(model, inputs).export(FILE)) and give that"
)
_ONNX = (
    "ONNX files cannot be read: export a float .tflite file, with onnx2tf for one, and give that"
)
_OTHER_FORMATS = {
    ".onnx": _ONNX,
    ".pt": _PYTORCH,
    ".pt2": _PYTORCH,
    ".pth": _PYTORCH,
}
_HDF5 = b"\x89HDF\r\n\x1a\n"


def kind_of(path: Path, allow_code: bool = False) -> Kind:
    """Which loader a model file or SavedModel folder needs.

    A SavedModel that Keras 2 wrote is `keras2`, any other is `saved_model`.

    Args:
        path: The file or folder.
        allow_code: Whether to allow Lambda layers, which execute Python code from the file.

    Raises:
        SourceError: There is no such model, it is another kind of file, or it holds code.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist", hint="give a model file, a run folder or zoo:NAME"
        )
    if is_endless(path):
        raise SourceError(f"{path} is a device, not a model file")
    kind = _kind(path)
    if not allow_code and has_lambda_layer(stored_descriptions(path)):
        raise SourceError(
            f"{path} has a Lambda layer, which runs Python code stored in the file",
            hint="if you trust the file, pass --allow-code",
        )
    return kind


def _kind(path: Path) -> Kind:
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise SourceError(
                f"{path} is neither a run folder (no card.json) nor a SavedModel (no "
                "saved_model.pb)"
            )
        return "keras2" if (path / "keras_metadata.pb").is_file() else "saved_model"
    if zipfile.is_zipfile(path):
        version = _version_in_zip(path)
    elif _first_bytes(path) == _HDF5:
        version = _version_in_h5(path)
    else:
        raise SourceError(
            f"{path} is not a Keras model",
            hint=_OTHER_FORMATS.get(
                path.suffix.lower(),
                "give a .keras or .h5 file, a SavedModel or run folder, a float .tflite file, or "
                "zoo:NAME",
            ),
        )
    return "keras3" if version.startswith("3") else "keras2"


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(_HDF5))
    except OSError as error:
        raise SourceError(unreadable(path, error)) from error


def _version_in_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (AttributeError, KeyError, ValueError, *ARCHIVE_DAMAGE) as error:
        reason = first_line(error)
        raise SourceError(f"{path} is a zip file, but not a Keras model: {reason}") from error


def _version_in_h5(path: Path) -> str:
    try:
        import h5py

        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("keras_version", ""))
    except OSError as error:
        raise SourceError(f"{path} is damaged: {first_line(error)}") from error


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


def stored_descriptions(path: Path) -> list[Any]:
    """The JSON descriptions of layers in a model file or SavedModel; none if it has none.

    Raises:
        SourceError: The file is damaged.
    """
    try:
        if path.is_dir():
            metadata = path / "keras_metadata.pb"
            return _json_within(metadata.read_bytes()) if metadata.is_file() else []
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return [json.loads(archive.read("config.json"))]
        import h5py

        with h5py.File(path, "r") as file:
            content = file.attrs.get("model_config")
        return [] if content is None else [json.loads(content)]
    except (KeyError, ValueError, *ARCHIVE_DAMAGE) as error:
        raise SourceError(f"{path} is damaged: {first_line(error)}") from error


def _json_within(content: bytes) -> list[Any]:
    """The JSON documents among the strings of a protocol buffer."""
    text, decoder = content.decode("utf-8", "replace"), json.JSONDecoder()
    found: list[Any] = []
    start = text.find("{")
    while start >= 0:
        end = start + 1
        with contextlib.suppress(ValueError, RecursionError):
            document, end = decoder.raw_decode(text, start)
            found.append(document)
        start = text.find("{", end)
    return found


def load_custom_objects(path: Path) -> dict[str, Any]:
    """Runs a Python file and returns its classes and functions by name.

    Raises:
        SourceError: The file does not exist or raises.
    """
    try:
        module = run_file(path, f"onebit_custom_objects_{path.stem}", "--custom-objects")
    except OnebitError as error:
        raise SourceError(error.message, hint=error.hint) from error
    del sys.modules[module.__name__]  # Keras would find there what a model was not given
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


def unknown_object(path: Path, name: str) -> SourceError:
    """The error for a model that uses a class or function which nobody has defined."""
    return SourceError(
        f"{path} uses the custom object {name}, which is unknown here",
        hint="pass --custom-objects FILE.py, a Python file that defines it",
    )


def explained(path: Path, error: Exception) -> SourceError:
    """The error for what Keras raised as it loaded a model: its cause and fix, where known."""
    text = str(error)
    unknown = re.search(r"[Uu]nknown (?:layer|object|\w+)[^'\"]*['\"]([^'\"]+)['\"]", text) or (
        re.search(r"Could not locate (?:class|function) '([^']+)'", text)
    )
    if unknown:
        return unknown_object(path, unknown[1])
    if "No model config found" in text:
        return SourceError(
            f"{path} holds weights only", hint="save the whole model with model.save"
        )
    return SourceError(f"{path} cannot be loaded: {first_line(error)}")
