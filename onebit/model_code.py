"""Code that the description of a Keras model names, found before anything of the model is loaded.

Keras' safe mode only keeps stored lambdas from running, and of HDF5 files not even those. Keras 2
imports whatever module a description names, which runs it, and takes any function there in the
place of one of its own (compare CVE-2025-1550). Layers that stand for TensorFlow's functions may be
those that write files. Classes of users are found by their registered names, and need no import.
"""

import builtins
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

TRUSTED = ("keras", "tf_keras", "larq", "larq_zoo", "zoo")
"""Packages whose layers and functions any model may use."""

_USERS_FILES = ("onebit_imported_", "onebit_custom_objects_")
"""Beginnings of the names under which `onebit.imports` runs files that the user gave."""

_CLASS = r"_?[A-Z]\w*"
"""Names of classes in the trusted packages; those of functions are in lower case."""

_CALLS_NOTHING_ELSE = re.compile(
    r"(compat\.v1\.)?(__operators__|math|image|signal|bitwise|ragged|sparse|strings|quantization"
    r"|dtypes|audio|(nn|linalg|random)(\.experimental)?)\.\w+"
    r"|(compat\.v1\.)?debugging\.(assert_\w+|check_numerics)"
    r"|keras\.(backend|activations|losses|metrics)\.\w+"
    r"|(compat\.v1\.)?(?!load_|read_file|write_file|matching_files|py_func|numpy_function"
    r"|import_graph_def|[Pp]rint$|enable_|disable_|register_|reset_|rpc_|wrap_function)\w+"
)
"""TensorFlow's functions of numbers, by their public names without `tf.`.

Not among them is `print`, whose `output_stream` may be a file, nor what writes whole folders, as
`debugging.experimental.enable_dump_debug_info` and `quantization.experimental` do.
"""


def has_lambda_layer(description: Any) -> bool:
    """Whether a model has a Lambda layer, whose Python code lies in the file."""
    names = (entry.get("class_name") for entry in _entries(description))
    return any(isinstance(name, str) and re.split("[.>]", name)[-1] == "Lambda" for name in names)


def foreign_object(description: Any, is_known: Callable[[str], bool]) -> str | None:
    """The first class or function that Keras would import from elsewhere, such as `f of posix`.

    Args:
        description: The JSON content of a model's `config.json`, or of a part of it.
        is_known: Whether a registered or custom object has that name.
    """
    found = (_foreign_object(entry, is_known) for entry in _entries(description))
    return next(filter(None, found), None)


def foreign_call(description: Any) -> str | None:
    """The first TensorFlow function that a layer calls and that does more than compute."""
    for entry in _entries(description):
        config = entry.get("config")
        calls = entry.get("class_name") in ("TFOpLambda", "ClassMethod")
        if not calls or not isinstance(config, dict):
            continue
        symbol = str(config.get("function", config.get("cls_symbol")))
        if not _CALLS_NOTHING_ELSE.fullmatch(symbol):
            return f"tf.{symbol}"
    return None


def _entries(description: Any) -> Iterator[dict[str, Any]]:
    """All mappings of a JSON document, however deep."""
    left = [description]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            left.extend(reversed(value))


def _foreign_object(entry: dict[str, Any], is_known: Callable[[str], bool]) -> str | None:
    kind, module = entry.get("class_name"), entry.get("module")
    if not isinstance(kind, str) or not module:
        return None  # without a module Keras looks among its own and the known ones
    module, package = str(module), str(module).partition(".")[0]
    if kind == "__typespec__":
        trusted = package in ("tensorflow", *TRUSTED)
        return None if trusted else f"{entry.get('spec_name')} of {module}"
    if kind.startswith("__"):  # tuples, arrays and the like
        return None
    is_function = kind == "function"
    name = str(entry.get("config")) if is_function else kind
    described = f"{name} of {module}"
    if is_function and "inbound_nodes" in entry:
        return described  # it would be called in the place of a layer
    registered = name if is_function else str(entry.get("registered_name") or kind)
    if is_known(registered) or (module in sys.modules and module.startswith(_USERS_FILES)):
        return None
    if is_function and module == "builtins":  # Keras' own functions
        return described if hasattr(builtins, name) else None
    fits = re.fullmatch(r"\w+" if is_function else _CLASS, name)
    return None if package in TRUSTED and fits else described
