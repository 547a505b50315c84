"""The facts, as data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError, unreadable


@dataclass(frozen=True)
class Normalization:
    """How pixels from 0 to 255 become a model's numbers: (pixel − mean) / std.

    Attributes:
        mean: One number for all channels, or one each.
        std: Alike; never 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std)
        if not self.mean or not self.std or not all(map(math.isfinite, numbers)):
            raise ValueError("mean and deviation are finite numbers")
        if 1 not in (len(self.mean), len(self.std)) and len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means have {len(self.std)} deviations")
        if 0 in self.std:
            raise ValueError("a deviation of 0 would divide by 0")

    @classmethod
    def from_scale(cls, scale: Sequence[float], offset: Sequence[float]) -> "Normalization":
        """The same as scale · pixel + offset, with one number or one for each channel.

        Raises:
            ValueError: A scale is 0, or a number is not finite.
        """
        if 0 in scale:
            raise ValueError("a scale of 0 would make all pixels equal")
        std = tuple(1 / each for each in scale)
        count = max(len(scale), len(offset))
        deviations, offsets = (_repeated(each, count) for each in (std, offset))
        return cls(tuple(-o * s for o, s in zip(offsets, deviations, strict=True)), std)

    @property
    def channels(self) -> int:
        """The number of channels that it distinguishes; 1 where it is the same for all."""
        return max(len(self.mean), len(self.std))

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """The numbers of pixels `[…, C]`, computed as in training: scale · pixel + offset."""
        deviations = np.array(self.std)
        scale = (1 / deviations).astype(np.float32)
        offset = (-np.array(self.mean) / deviations).astype(np.float32)
        return pixels.astype(np.float32) * scale + offset

    def __str__(self) -> str:
        mean, std = (", ".join(f"{n:.6g}" for n in each) for each in (self.mean, self.std))
        return (
            f"(pixel - {mean}) / {std}" if self.channels == 1 else f"(pixel - [{mean}]) / [{std}]"
        )


@dataclass(frozen=True)
class Metadata:
    """The facts that a file says about itself.

    Attributes:
        name: The model's name.
        description: A sentence or more.
        author: Who made it.
        license: The terms of its use, such as `Apache-2.0`.
        labels: The names of the classes, in the order of the file's one output `[1, classes]`.
        normalization: How pixels become numbers, by the input's number, where inputs take images.
    """

    name: str | None = None
    description: str | None = None
    author: str | None = None
    license: str | None = None
    labels: tuple[str, ...] = ()
    normalization: dict[int, Normalization] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the name is known."""
        return self == Metadata(self.name)

    def lines(self) -> list[str]:
        """The facts for readers, a line each."""
        texts = {
            "description": self.description,
            "author": self.author,
            "licence": self.license,
            "labels": _listed(self.labels),
        }
        for number, each in sorted(self.normalization.items()):
            of = "" if len(self.normalization) == 1 else f" of input {number}"
            texts[f"pixels{of}"] = str(each)
        return [f"{name}: {text}" for name, text in texts.items() if text]


def read_labels(path: Path) -> list[str]:
    """The classes' names of a text file, a line each; empty lines at the end don't count.

    Raises:
        OnebitError: The file cannot be read or is empty, or a line among others is.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise OnebitError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise OnebitError(
            f"{path} is not a text in UTF-8", hint="write the name of a class on each line"
        ) from error
    labels = [line.strip() for line in lines]
    if not labels:
        raise OnebitError(f"{path} is empty", hint="write the name of a class on each line")
    if not all(labels):
        raise OnebitError(f"line {labels.index('') + 1} of {path} is empty, not a class's name")
    return labels


def _repeated(numbers: Sequence[float], count: int) -> Sequence[float]:
    return list(numbers) * count if len(numbers) == 1 else numbers


def _listed(labels: Sequence[str], most: int = 4) -> str:
    more = ", …" if len(labels) > most else ""
    return f"{len(labels)} ({', '.join(labels[:most])}{more})" if labels else ""
