"""Larq Compute Engine's own interpreter, loaded without TensorFlow."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.runtimes.lce_extension import load_extension
from convert.samples import filled, joined
from onebit.errors import first_line
from onebit.streams import held_stderr

OPS = ("LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d")
"""The custom operators that LCE's interpreter adds to TensorFlow Lite's own."""

_EXTENSION = "interpreter_wrapper_lite"


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
        return [joined(column, size * len(rows), count) for column in zip(*rows, strict=True)]

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
