"""Loading Keras models from files without running code that they carry."""

from pathlib import Path
from typing import Any

from convert.errors import SourceError
from convert.model_files import explained, kind_of, stored_descriptions, unknown_object
from onebit.keras import keras
from onebit.model_code import foreign_call, foreign_object

_TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""Ends of the names of arguments that decide nothing at inference."""


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
    kind = kind_of(path, allow_code)
    if kind == "keras3":
        raise SourceError(
            f"{path} was saved by Keras 3; Larq needs Keras 2",
            hint="`onebit convert model` takes it as it is",
        )
    descriptions = stored_descriptions(path)
    try:
        if not path.is_dir():
            _check_lambdas(path, descriptions)
        with keras.utils.custom_object_scope({"__lambda__": _Unused, **(custom_objects or {})}):
            if not allow_code:
                _check_code(path, descriptions)
            model = keras.models.load_model(path, compile=False, safe_mode=not allow_code)
    except SourceError:
        raise
    except Exception as error:  # Keras raises whatever its many readers raise
        raise explained(path, error) from error
    if not isinstance(model, keras.Model):
        raise SourceError(
            f"{path} is a SavedModel, but not that of a Keras 2 model",
            hint="save one with model.save",
        )
    return model


def _check_code(path: Path, descriptions: list[Any]) -> None:
    """Refuses code that loading would import or call, beside the known objects.

    Raises:
        SourceError: There is some.
    """
    unknown = foreign_object(
        descriptions, lambda name: keras.utils.get_registered_object(name) is not None
    )
    if unknown is not None:
        raise unknown_object(path, unknown)
    called = foreign_call(descriptions)
    if called is not None:
        raise SourceError(
            f"{path} calls {called}, which may do more than compute",
            hint="if you trust the file, pass --allow-code",
        )


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
