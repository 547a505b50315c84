"""Test vectors: inputs that a board can draw from a seed, and the outputs of LCE's interpreter."""

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.targets.c.pixels import pixels_of
from convert.targets.c.program import elements
from convert.targets.network import Network, Value
from onebit import bits
from onebit.metadata import Normalization

SEEDS = (1, 2)


@dataclass(frozen=True)
class Vectors:
    """The outputs for each of `SEEDS`.

    Attributes:
        oracle: Who computed them.
        outputs: Per seed, in the network's order; bits as int32 words.
    """

    oracle: str
    outputs: list[list[NDArray[Any]]]


def compute_vectors(
    content: bytes, network: Network, normalization: Normalization | None = None
) -> Vectors:
    """The outputs of a file, by LCE's interpreter, or by LiteRT where that is absent or refuses.

    Args:
        content: The file.
        network: As it is exported.
        normalization: How pixels become the file's numbers, where the network takes pixels.

    Raises:
        ConversionError: Neither is here, or both refuse the file.
    """
    inputs = [draw_inputs(network, seed) for seed in SEEDS]
    if normalization is not None:
        inputs = [[normalization(pixels_of(array)) for array in arrays] for arrays in inputs]
    refused: ConversionError | None = None
    if importlib.util.find_spec("larq_compute_engine") is not None:
        from convert.runtimes.lce_interpreter import LceInterpreter

        try:
            # Its faster kernels get zero padding wrong where channels do not fill words.
            interpreter = LceInterpreter(content, "reference")
            outputs = [interpreter.run_once(arrays) for arrays in inputs]
            return Vectors("LCE's interpreter", outputs)
        except ConversionError as error:
            refused = error
    from convert.runtimes.litert import running_on_litert, usable_delegate

    try:
        delegate, label = usable_delegate()
    except ConversionError as error:
        raise ConversionError(
            f"nothing here runs the file to compute its test vectors: {refused or error}",
            hint="install larq-compute-engine (pip install 'onebit[train]') and the delegate",
        ) from error
    with running_on_litert(content, delegate) as runner:
        return Vectors(label, [runner.run(arrays) for arrays in inputs])


def draw_inputs(network: Network, seed: int) -> list[NDArray[Any]]:
    """The inputs that `draw_input` of the exported `vectors.h` makes of a seed."""
    generator = _Generator(seed)
    return [_drawn(generator, network.values[index]) for index in network.inputs]


class _Generator:
    """The linear congruential generator of Numerical Recipes; its high bytes."""

    def __init__(self, seed: int) -> None:
        self.state = np.uint32(seed)

    def draw(self, count: int) -> NDArray[np.int64]:
        # All powers of the step at once: state k is a^k·seed + c·(a^(k−1) + … + 1), modulo 2^32.
        with np.errstate(over="ignore"):
            powers = np.cumprod(np.full(count, 1664525, np.uint32), dtype=np.uint32)
            sums = np.cumsum(np.concatenate([[np.uint32(1)], powers[:-1]]), dtype=np.uint32)
            states = powers * self.state + sums * np.uint32(1013904223)
        if count:
            self.state = states[-1]
        return (states >> np.uint32(24)).astype(np.int64)


def _drawn(generator: _Generator, value: Value) -> NDArray[Any]:
    if value.dtype == "bits":
        negative = generator.draw(int(np.prod(value.shape))).reshape(value.shape) >> 7
        return bits.pack(-negative)
    octets = generator.draw(elements(value)).reshape(value.shape)
    if value.dtype == "float32":
        return ((octets - 128) / 128).astype(np.float32)
    if value.dtype == "bool":
        return octets >= 128
    return (octets - 128 if value.dtype == "int8" else octets).astype(value.dtype)
