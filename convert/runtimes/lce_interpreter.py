"""Larq Compute Engine's own interpreter, loaded without TensorFlow.

Importing LCE's package imports TensorFlow, which takes seconds where the extension module, loaded
from its file, takes a tenth of one, and which cannot be had where TensorFlow has chosen Keras 3.
"""

import glob
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.samples import filled
from onebit.errors import first_line
from onebit.streams import held_stderr

OPS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")
"""The custom operators that LCE's interpreter adds to TensorFlow Lite's own."""

_EXTENSION = "interpreter_wrapper_lite"


def is_installed() -> bool:
    """Whether LCE is there, with its interpreter."""
    return importlib.util.find_spec("larq_compute_engine") is not None


def load_extension(folder: str, name: str) -> Any:
    """One of LCE's extension modules.

    It gets the name that LCE's package gives it: a second copy could not be loaded.

    Args:
        folder: Where it is in the package, such as `mlir`.
        name: Its name.

    Raises:
        ImportError: LCE is not installed, or not as version 0.16 is.
    """
    full_name = ".".join(["larq_compute_engine", *folder.split("/"), name])
    if full_name in sys.modules:
        return sys.modules[full_name]
    package = importlib.util.find_spec("larq_compute_engine")
    if package is None or not package.submodule_search_locations:
        raise ImportError("no module named larq_compute_engine")
    place = os.path.join(next(iter(package.submodule_search_locations)), *folder.split("/"))
    for path in glob.glob(os.path.join(glob.escape(place), f"{name}*")):
        spec = importlib.util.spec_from_file_location(full_name, path)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[full_name] = module
            return module
    raise ImportError(f"larq_compute_engine has no {name} in {place}")


class LceInterpreter:
    """LCE's own interpreter, the oracle for every file that is written here.

    Args:
        content: A `.tflite` file.
        kernel: `indirect_bgemm` is the fastest and takes grouped convolutions too; `default`,
            `reference`.

    Raises:
        ConversionError: The interpreter refuses the file; the message has its reason.
    """

    def __init__(self, content: bytes, kernel: str = "indirect_bgemm") -> None:
        extension = load_extension("tflite/python", _EXTENSION)
        with held_stderr() as held:
            try:
                # Without a delegate of its own and on one thread, as the oracle.
                self._interpreter = extension.LiteInterpreter(
                    content, 1, kernel == "reference", kernel == "indirect_bgemm", False
                )
                reason = None
            except RuntimeError as error:
                reason = first_line(error)
        if reason is not None:
            reasons = re.findall(r"ERROR: (.+)", held())
            raise ConversionError(
                f"LCE's interpreter refuses the file: {'; '.join(reasons) or reason}"
            )

    def run(
        self,
        samples: Sequence[NDArray[Any]],
        tick: Callable[[], None] | None = None,
    ) -> list[NDArray[np.generic]]:
        """The outputs for samples that are fed in batches of the file's size, mostly one at a time.

        Args:
            samples: One array per input, `[N, …]`, in the file's order and types.
            tick: Called after every sample.

        Returns:
            One array per output, `[N, …]`.

        Raises:
            ConversionError: The interpreter fails.
        """
        size = self._interpreter.input_shapes[0][0]
        count = len(samples[0])
        rows = []
        for start in range(0, count, size):
            batch = [filled(array[start : start + size], size) for array in samples]
            rows.append(self.run_once(batch))
            if tick is not None:
                for _ in batch[0][: count - start]:
                    tick()
        return [joined(column, size, count) for column in zip(*rows, strict=True)]

    def run_once(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.generic]]:
        """The outputs of one inference, for inputs of the file's shapes and types.

        Raises:
            ConversionError: The interpreter fails.
        """
        with held_stderr() as held:
            try:
                return self._interpreter.predict(list(inputs))
            except RuntimeError as error:
                reason = first_line(error)
                raise ConversionError(f"LCE's interpreter fails: {held() or reason}") from error


def joined(batches: Sequence[NDArray[Any]], size: int, count: int) -> NDArray[Any]:
    """Outputs of batches of `size` samples, without those that filled the last: `[count·k, …]`.

    Most outputs have k = 1 row for each sample.
    """
    values = np.concatenate([np.atleast_1d(batch) for batch in batches])
    return values[: count * len(values) // (size * len(batches))]
