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


def load_model(
    path: Path, custom_objects: dict[str, Any] | None = None, allow_code: bool = False
) -> keras.Model:
    """Loads a `.keras` or `.h5` file or a SavedModel folder that Keras 2 has saved.

    Args:
        path: The file or folder.
        custom_objects: Classes and functions by the names that the file uses.
        allow_code: Whether Lambda layers may bring Python code of the file to execution.

    Raises:
        SourceError: There is no such model, or it cannot be loaded; the message has the mend.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist: give a model file, a run folder or zoo:NAME")
    _check_kind(path)
    config = _stored_config(path)
    if not allow_code and re.search(_LAMBDA, config):
        raise SourceError(
            f"{path} has a Lambda layer, which runs Python code stored in the file: if you trust "
            "the file, pass --allow-code"
        )
    try:
        with keras.utils.custom_object_scope(custom_objects or {}):
            if zipfile.is_zipfile(path):
                unknown = _unknown_object(json.loads(config))
                if unknown is not None:
                    raise SourceError(_unknown_message(path, unknown))
            model = keras.models.load_model(path, compile=False, safe_mode=not allow_code)
    except SourceError:
        raise
    except Exception as error:  # Keras raises whatever its many readers raise
        raise SourceError(_explain(path, error)) from error
    if not isinstance(model, keras.Model):
        raise SourceError(
            f"{path} is a SavedModel, but not that of a Keras 2 model: save one with model.save"
        )
    return model


def load_custom_objects(path: Path) -> dict[str, Any]:
    """Runs a Python file and returns its classes and functions by name.

    Raises:
        SourceError: The file does not exist or raises.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SourceError(f"{path} is not a Python file: --custom-objects takes a .py file")
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
    """Raises what a user should know about a file that is no Keras 2 model."""
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise SourceError(
                f"{path} is neither a run folder (no card.json) nor a SavedModel (no "
                "saved_model.pb)"
            )
    elif zipfile.is_zipfile(path):
        version = _keras_version(path)
        if version.startswith("3"):
            raise SourceError(
                f"{path} was saved by Keras {version}; Larq needs Keras 2: build the model with "
                "tf_keras (TF_USE_LEGACY_KERAS=1) and save it again"
            )
    elif not h5py.is_hdf5(path):
        raise SourceError(
            f"{path} is not a Keras model: give a .keras or .h5 file, a SavedModel or run folder, "
            "or zoo:NAME"
        )


def _keras_version(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is a zip file, but not a Keras model: {error}") from error


def _stored_config(path: Path) -> str:
    """The JSON in which a model's file tells its layers; empty where it tells none."""
    try:
        if path.is_dir():
            # A protocol buffer, whose strings hold JSON.
            metadata = path / "keras_metadata.pb"
            return metadata.read_bytes().decode("utf-8", "replace") if metadata.is_file() else ""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return archive.read("config.json").decode("utf-8", "replace")
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config", "")
            return config if isinstance(config, str) else bytes(config).decode("utf-8", "replace")
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is damaged: {first_line(error)}") from error


def _unknown_object(config: Any) -> str | None:
    """The first class in a `.keras` file's configuration that no import provides.

    Keras itself stumbles over one with a message about something else.
    """
    if isinstance(config, list):
        return next(filter(None, map(_unknown_object, config)), None)
    if not isinstance(config, dict):
        return None
    registered, module = config.get("registered_name"), str(config.get("module"))
    if registered and not module.startswith(("keras", "tf_keras")):
        found = keras.utils.get_registered_object(registered)
        if found is None and not hasattr(sys.modules.get(module), config.get("class_name", "")):
            return str(config.get("class_name"))
    return next(filter(None, map(_unknown_object, config.values())), None)


def _unknown_message(path: Path, name: str) -> str:
    return (
        f"{path} uses the custom object {name}, which is unknown here: pass --custom-objects "
        "FILE.py, a Python file that defines it"
    )


def _explain(path: Path, error: Exception) -> str:
    text = str(error)
    unknown = re.search(r"[Uu]nknown (?:layer|object|\w+)[^'\"]*['\"]([^'\"]+)['\"]", text) or (
        re.search(r"Could not locate (?:class|function) '([^']+)'", text)
    )
    if unknown:
        return _unknown_message(path, unknown[1])
    if "No model config found" in text:
        return f"{path} holds weights alone: save the whole model with model.save"
    return f"{path} cannot be loaded: {first_line(error)}"
