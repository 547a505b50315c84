"""Labelled samples that models are judged by on a device."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError, UsageError
from onebit.files import read_json, sha256

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
    """The samples of a card or of an `.npz` file.

    A card is the `card.json` of a run folder, or that folder: its `samples.npz` holds raw `images`,
    which are preprocessed as the card says. An `.npz` file holds `inputs` `[N, ...]` that are
    preprocessed already and, if there are any, `labels` `[N]`; or, beside its card, raw `images`.

    Raises:
        UsageError: The path is none of these.
        OnebitError: A file is damaged, of another run, or its arrays do not fit each other.
    """
    path = Path(path)
    if path.is_dir():
        path = path / CARD
    if path.suffix == ".json":
        return _of_card(path, path.parent / SAMPLES)
    if path.suffix != ".npz":
        raise UsageError(f"the data {path} are neither a run folder, a card.json nor an .npz file")
    arrays = _arrays(path)
    if "inputs" in arrays:
        return _checked(path, path.stem, None, arrays["inputs"], arrays.get("labels"))
    if "images" in arrays and (path.parent / CARD).is_file():
        return _of_card(path.parent / CARD, path)
    raise OnebitError(
        f"{path} has neither an array named inputs, nor images with a {CARD} beside it; it has "
        f"{', '.join(arrays) or 'none'}"
    )


def _of_card(card_path: Path, samples_path: Path) -> Data:
    card = read_json(card_path)
    preprocessing = card.get("preprocessing") if isinstance(card, dict) else None
    if not isinstance(preprocessing, dict) or set(preprocessing) != {"scale", "offset"}:
        raise OnebitError(f"{card_path} is no model card: it has no preprocessing by scale, offset")
    arrays = _arrays(samples_path)
    if "images" not in arrays:
        raise OnebitError(f"{samples_path} has no array named images")
    if card.get("samples_sha256") != sha256(samples_path):
        raise OnebitError(f"{samples_path} is not the file that {card_path} describes")
    scale, offset = (np.asarray(preprocessing[key], np.float32) for key in ("scale", "offset"))
    inputs = arrays["images"].astype(np.float32) * scale + offset
    dataset = card.get("dataset") or {}
    name = str(dataset.get("name") or card.get("name") or card_path.parent.name)
    return _checked(samples_path, name, "test", inputs, arrays.get("labels"))


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
