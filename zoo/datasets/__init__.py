"""Data sets of labelled images and texts, one file each, and their registry.

A data set is a decorated function whose name is the registry name and whose argument is the folder
where its files would be, which need not exist:

    @register_dataset(input_shape=(28, 28, 1), classes=10)
    def mnist(folder: Path) -> Dataset: ...
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zoo.datasets._split import Split
from zoo.datasets._tfrecords import RecordSplit, naming_damage
from zoo.registry import Registry


@dataclass(frozen=True)
class Dataset:
    """A data set in its splits.

    Attributes:
        name: Registry name.
        classes: Class names; a label is an index into them.
        train: What the weights are fitted to.
        validation: What settings may be chosen by; None where there is too little data.
        test: What nothing is chosen by.
        tokenizer: The SentencePiece model that made token ids of texts; None for images.
        source: The program and version that made the samples; None where they were published.
    """

    name: str
    classes: tuple[str, ...]
    train: Split | RecordSplit
    validation: Split | RecordSplit | None
    test: Split | RecordSplit
    tokenizer: bytes | None = None
    source: str | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`[H, W, C]` of an image or `[S]` of a text."""
        return self.train.image_shape

    @property
    def splits(self) -> tuple[Split | RecordSplit, ...]:
        """Those that there are: of training, validation and test."""
        return tuple(s for s in (self.train, self.validation, self.test) if s is not None)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the splits in their order; what it is of, the kind of split says."""
        digest = hashlib.sha256()
        for split in self.splits:
            split.update(digest)
        return digest.hexdigest()


Loader = Callable[[Path], Dataset]


@dataclass(frozen=True)
class DatasetEntry:
    """A registered data set and what is known about it before it is loaded."""

    loader: Loader
    input_shape: tuple[int, ...]
    classes: int

    @property
    def summary(self) -> str:
        """The first line of the loader's docstring."""
        return (inspect.getdoc(self.loader) or "").partition("\n")[0]


datasets: Registry[DatasetEntry] = Registry("data set", __name__)


def register_dataset(*, input_shape: tuple[int, ...], classes: int) -> Callable[[Loader], Loader]:
    """A decorator that registers a function that loads a data set, under the function's name."""

    def register(loader: Loader) -> Loader:
        datasets.add(loader.__name__, DatasetEntry(loader, input_shape, classes))
        return loader

    return register


def data_folder() -> Path:
    """Where data sets are looked for: `ONEBIT_DATA` in the environment, else `~/.onebit/data`."""
    return Path(os.environ.get("ONEBIT_DATA") or "~/.onebit/data").expanduser()


def load_dataset(name: str, data: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name.

    Args:
        name: Registry name.
        data: The folder that holds a folder NAME with the files; `data_folder()` when None.

    Raises:
        UsageError: The name is unknown.
        OnebitError: Its files are missing or damaged; the message says where to put which.
    """
    folder = data_folder() if data is None else Path(data)
    return datasets.get(name).loader(folder / name)


__all__ = [
    "Dataset",
    "DatasetEntry",
    "RecordSplit",
    "Split",
    "data_folder",
    "datasets",
    "load_dataset",
    "naming_damage",
    "register_dataset",
]
