"""Loading Keras models from files without running code that they carry."""

import importlib.util
import inspect
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py

from convert.errors import SourceError
from onebit.errors import first_line
from onebit.keras import keras

_LAMBDA = r'"class_name"\s*:\s*"(?:[\w.>]*[.>])?Lambda"'
_TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""Ends of the names of arguments that decide nothing at inference."""
_OTHER_FORMATS = {
    ".onnx": "Onebit converts Keras models; ONNX files cannot be read",
    ".pt": "Onebit converts Keras models; PyTorch files cannot be read",
    ".pth": "Onebit converts Keras models; PyTorch files cannot be read",
    ".tflite": "it is converted already: see `onebit convert audit`",
}


def load_model(
    path: Path, custom_objects: dict[str, Any] | None = None, allow_code: bool = False
) -> keras.Model:
    """Loads a `.keras` or `.h5` file or a SavedModel folder that Keras 2 has saved.

    Args:
        path: The file or folder.
        custom_objects: Classes and functions by the names that the file uses.
        allow_code: Whether to allow Lambda layers, which execute Python code from the file.

    Raises:
        SourceError: There is no such model, or it cannot be loaded; the message has the fix.
    """
    if not path.exists():
        raise SourceError(
            f"{path} does not exist", hint="give a model file, a run folder or zoo:NAME"
        )
    _check_kind(path)
    config = _stored_config(path)
    if not allow_code and re.search(_LAMBDA, config):
        raise SourceError(
            f"{path} has a Lambda layer, which runs Python code stored in the file",
            hint="if you trust the file, pass --allow-code",
        )
    try:
        if not path.is_dir():
            _check_lambdas(path, json.loads(config or "{}"))
        with keras.utils.custom_object_scope({"__lambda__": _Unused, **(custom_objects or {})}):
            if zipfile.is_zipfile(path):
                unknown = _unknown_object(json.loads(config))
                if unknown is not None:
                    raise _unknown_error(path, unknown)
            model = keras.models.load_model(path, compile=False, safe_mode=not allow_code)
    except SourceError:
        raise
    except Exception as error:  # Keras raises whatever its many readers raise
        raise _explained(path, error) from error
    if not isinstance(model, keras.Model):
        raise SourceError(
            f"{path} is a SavedModel, but not that of a Keras 2 model",
            hint="save one with model.save",
        )
    return model


def load_custom_objects(path: Path) -> dict[str, Any]:
    """Runs a Python file and returns its classes and functions by name.

    Raises:
        SourceError: The file does not exist or raises.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SourceError(f"{path} is not a Python file", hint="--custom-objects takes a .py file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        raise SourceError(f"{path} fails: {type(error).__name__}: {first_line(error)}") from error
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


def _check_kind(path: Path) -> None:
    """Refuses what is not a file or folder of a Keras 2 model, and says what it is.

    Raises:
        SourceError: It is not.
    """
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise SourceError(
                f"{path} is neither a run folder (no card.json) nor a SavedModel (no "
                "saved_model.pb)"
            )
    elif zipfile.is_zipfile(path):
        _check_version(path, _version_in_zip(path))
    elif h5py.is_hdf5(path):
        _check_version(path, _version_in_h5(path))
    else:
        raise SourceError(
            f"{path} is not a Keras model",
            hint=_OTHER_FORMATS.get(
                path.suffix.lower(),
                "give a .keras or .h5 file, a SavedModel or run folder, or zoo:NAME",
            ),
        )


def _check_version(path: Path, version: str) -> None:
    if version.startswith("3"):
        raise SourceError(
            f"{path} was saved by Keras {version}; Larq needs Keras 2",
            hint="build the model with tf_keras (TF_USE_LEGACY_KERAS=1) and save it again",
        )


def _version_in_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (AttributeError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is a zip file, but not a Keras model: {error}") from error


def _version_in_h5(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("keras_version", ""))
    except OSError as error:
        raise SourceError(f"{path} is damaged: {first_line(error)}") from error


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


def _stored_config(path: Path) -> str:
    """The JSON description of the layers in a model file; empty if it has none."""
    try:
        if path.is_dir():
            # A protocol buffer, whose strings hold JSON.
            metadata = path / "keras_metadata.pb"
            return metadata.read_bytes().decode("utf-8", "replace") if metadata.is_file() else ""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.read("config.json").decode("utf-8", "replace")
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("model_config", ""))
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is damaged: {first_line(error)}") from error


def _unknown_object(config: Any) -> str | None:
    """The first class in a `.keras` file's configuration that no import provides.

    Keras' own message about one is about something else.
    """
    if isinstance(config, list):
        return next(filter(None, map(_unknown_object, config)), None)
    if not isinstance(config, dict):
        return None
    registered, module = config.get("registered_name"), str(config.get("module"))
    if config.get("class_name") == "__lambda__":
        return None  # code that the file holds, and was allowed to
    if registered and not module.startswith(("keras", "tf_keras")):
        found = keras.utils.get_registered_object(registered)
        if found is None and not hasattr(sys.modules.get(module), config.get("class_name", "")):
            return str(config.get("class_name"))
    return next(filter(None, map(_unknown_object, config.values())), None)


class _Unused:
    """A stand-in for lambdas that only training calls: none of their code runs."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.initializers.Initializer:
        """An initializer; regularizers and constraints are not called here."""
        return keras.initializers.Zeros()


def _check_lambdas(path: Path, config: Any) -> None:
    """Refuses lambdas that inference needs, since Keras 2 stores them but cannot load them.

    Raises:
        SourceError: There is one.
    """
    if isinstance(config, list):
        for value in config:
            _check_lambdas(path, value)
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        # Of an activation, only the lambda's code, defaults and closure are stored.
        stored = isinstance(value, dict) and value.keys() == {"value"}
        stored = stored and key.endswith("activation")
        named = isinstance(value, dict) and value.get("class_name") == "__lambda__"
        if stored or (named and not key.endswith(_TRAINING_ONLY)):
            raise SourceError(
                f"{path} has a lambda as {key} of {config.get('name')}, which Keras 2 cannot load",
                hint="give the function a name with def, register it "
                "(keras.utils.register_keras_serializable), and save the model again, or save it "
                "as a SavedModel",
            )
        _check_lambdas(path, value)


def _unknown_error(path: Path, name: str) -> SourceError:
    return SourceError(
        f"{path} uses the custom object {name}, which is unknown here",
        hint="pass --custom-objects FILE.py, a Python file that defines it",
    )


def _explained(path: Path, error: Exception) -> SourceError:
    text = str(error)
    unknown = re.search(r"[Uu]nknown (?:layer|object|\w+)[^'\"]*['\"]([^'\"]+)['\"]", text) or (
        re.search(r"Could not locate (?:class|function) '([^']+)'", text)
    )
    if unknown:
        return _unknown_error(path, unknown[1])
    if "No model config found" in text:
        return SourceError(
            f"{path} holds weights only", hint="save the whole model with model.save"
        )
    return SourceError(f"{path} cannot be loaded: {first_line(error)}")
