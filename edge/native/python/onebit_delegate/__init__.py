"""Runs files of the Larq Compute Engine on a stock TFLite or LiteRT interpreter.

    import onebit_delegate
    interpreter = Interpreter("model.tflite", experimental_delegates=[onebit_delegate.load()])

Works with ai-edge-litert, tflite-runtime and TensorFlow; needs none of them to be imported.
"""

from __future__ import annotations  # devices have Python 3.8

import ctypes
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

__version__ = "0.1.0"
__all__ = ["features", "library_path", "load"]

LIBRARY = "libonebit_delegate.so"
# Where `load_delegate` lives, the newest runtime first.
RUNTIMES = (
    "ai_edge_litert.interpreter",
    "tflite_runtime.interpreter",
    "tensorflow.lite.python.interpreter",
)


def library_path() -> Path:
    """The delegate's shared library: the packaged one, or the one that `make delegate` built.

    The environment variable ONEBIT_DELEGATE_LIBRARY overrides both.

    Raises:
        FileNotFoundError: There is none.
    """
    override = os.environ.get("ONEBIT_DELEGATE_LIBRARY")
    here = Path(__file__).resolve().parent
    built = here.parents[1] / "build" / "native" / LIBRARY
    candidates = [Path(override)] if override else [here / LIBRARY, built]
    for path in candidates:
        if path.is_file():
            return path
    raise FileNotFoundError(f"no {LIBRARY} at {candidates[-1]}: run `make delegate`")


def features() -> dict[str, Any]:
    """The instruction sets and kernels of the library on this machine.

    Returns:
        `library`, its path; `version`; `isas`, the instruction sets that it can use here;
        `kernels`, a dictionary each with `name`, `op`, `isa`, `tile` as `[mr, nr]` and `usable`.

    Raises:
        FileNotFoundError: The library is missing.
        OSError: The library cannot be loaded, or is older than this package.
    """
    path = library_path()
    library = ctypes.CDLL(str(path))
    try:
        describe = library.onebit_delegate_features
    except AttributeError as error:
        raise OSError(f"{path} is older than this package: run `make delegate`") from error
    describe.argtypes, describe.restype = [ctypes.c_char_p, ctypes.c_size_t], ctypes.c_size_t
    text = ctypes.create_string_buffer(describe(None, 0))
    describe(text, len(text))
    return {"library": str(path), **json.loads(text.raw)}


def load(
    num_threads: int | None = None,
    isa: str | None = None,
    *,
    kernel: str | None = None,
    profile: str | os.PathLike[str] | None = None,
    fuse: bool = True,
) -> Any:
    """Loads the delegate, for an Interpreter's `experimental_delegates`.

    Args:
        num_threads: Threads to use; the interpreter's own setting when absent.
        isa: Use the kernels of this instruction set only: one of `features()["isas"]`.
        kernel: Use this variant of the binary convolution where it fits.
        profile: Write the time of each operator to this file, as JSON, when the delegate is freed.
        fuse: Merge neighbouring operators; off only to measure the gain.

    Raises:
        FileNotFoundError: The library is missing.
        ImportError: No TFLite runtime is installed.
        ValueError: An option is refused.
    """
    given = {"num_threads": num_threads, "isa": isa, "kernel": kernel, "profile": profile}
    options = {key: str(value) for key, value in given.items() if value is not None}
    if not fuse:
        options["fuse"] = "0"
    return _runtime().load_delegate(str(library_path()), options)


def _runtime() -> Any:
    """The runtime in use: the first that is imported already, else the first installed."""
    for name in RUNTIMES:
        if name in sys.modules:
            return sys.modules[name]
    for name in RUNTIMES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError("no TFLite runtime: pip install ai-edge-litert")
