"""Labelled samples that models are judged by on a device."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError, UsageError

CARD, SAMPLES = "card.json", "samples.npz"


@dataclass(frozen=True)
class Data:
    """Samples as a model takes them.

    Attributes:
        name: What rows call them.
        split: Of the data set, such as `test`; None where nobody tells.
        inputs: `[N, ...]`, float32 or integers.
        labels: Class indices `[N]`, or None.
        sha256: Of the inputs' type, shape and bytes.
    """

    name: str
    split: str | None
    inputs: NDArray[Any]
    labels: NDArray[np.integer] | None
    sha256: str


def read_data(path: str | Path) -> Data:
    """The samples of a run folder or of an `.npz` file.

    A run folder, or its `card.json` or `samples.npz`, gives the test split, preprocessed as the
    card says. Another `.npz` file holds `inputs` `[N, ...]` as the model takes them and, if there
    are any, `labels` `[N]`.

    Raises:
        UsageError: The path is none of these.
        OnebitError: A file is damaged, of another run, or its arrays do not fit each other.
    """
    path = Path(path)
    if path.is_dir() or path.name in (CARD, SAMPLES):
        return _of_run(path if path.is_dir() else path.parent)
    if path.suffix != ".npz":
        raise UsageError(f"the data {path} are neither a run folder, a {CARD} nor an .npz file")
    arrays = _arrays(path)
    if "inputs" not in arrays:
        held = ", ".join(arrays) or "none"
        raise OnebitError(f"{path} has no array named inputs; it has {held}")
    return _checked(path, path.stem, None, arrays["inputs"], arrays.get("labels"))


def _of_run(folder: Path) -> Data:
    # A folder is read by the stage that wrote it, which alone knows all kinds of preprocessing.
    from zoo.runs.run import load_card, load_preprocessor, load_samples, preprocessed

    card = load_card(folder)
    samples = load_samples(folder / SAMPLES, card["samples_sha256"])
    inputs = preprocessed(samples, load_preprocessor(folder, card))
    return _checked(folder / SAMPLES, card["dataset"]["name"], "test", inputs, samples.labels)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except Exception as error:  # a damaged zip makes NumPy raise a dozen kinds
        raise OnebitError(
            f"{path} is not an .npz file of plain arrays: write it with numpy.savez(…, inputs=…, "
            "labels=…)"
        ) from error


def _checked(
    path: Path, name: str, split: str | None, inputs: NDArray[Any], labels: NDArray[Any] | None
) -> Data:
    if inputs.dtype.kind not in "fiu" or inputs.ndim < 1 or not len(inputs):
        raise OnebitError(f"{path}: inputs are {inputs.dtype} of shape {list(inputs.shape)}")
    if inputs.dtype.kind == "f":
        inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            raise OnebitError(f"{path}: inputs hold NaN or infinity")
    if labels is not None and (labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu"):
        raise OnebitError(
            f"{path}: {len(inputs)} inputs, but labels are {labels.dtype} of shape "
            f"{list(labels.shape)}"
        )
    digest = hashlib.sha256(f"{inputs.dtype.str} {inputs.shape};".encode())
    digest.update(np.ascontiguousarray(inputs).tobytes())
    return Data(name, split, inputs, labels, digest.hexdigest())
