"""Exported weights, one bit for each binary one, and the pretrained weights of the package.

FILE.npz holds, of each weight by its name (`zoo.runs.weight_names`),

    hidden_1/kernel.bits     int32 `[…, ⌈O/32⌉]`, the signs of a binary kernel as `onebit.bits`
                             packs them
    hidden_1/kernel.scale    float32 `[O]`, the magnitude of each output channel, or `[R, 1]`, that
                             of each row of a table; absent where it is 1
    hidden_1_bn/beta.values  any other weight as it is

what preprocessing was fitted with as `preprocessing.*`, the `tokenizer` of texts as bytes, and a
few labelled samples of the test split, raw, as `images` or `tokens` and `labels`. FILE.json is its
card: a model card with the hash of FILE.npz, and the name and shape of each weight. docs/weights.md
is for programs that read these files. They are in the order of `model.weights`; files of Onebit
0.1.0 have their number there, `0007`, in place of a name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onebit import bits, files
from onebit.dataclass_json import decode
from onebit.errors import OnebitError, UsageError, near_matches
from zoo.datasets import Split
from zoo.datasets._tokens import Tokenizer
from zoo.datasets.preprocessing import Preprocessing, Preprocessor
from zoo.runs.cards import ExportedCard
from zoo.runs.run import SCHEMA_VERSION, Run, with_current_names
from zoo.runs.weight_names import named_weights

if TYPE_CHECKING:
    from onebit.keras import keras

SAMPLES = 100
"""How many test samples an exported file carries, to verify a conversion with."""

FITTED = "preprocessing."
"""Prefix of the arrays of fitted preprocessing."""

Arrays = dict[str, NDArray[Any]]


def require_own(path: Path, force: bool = False) -> None:
    """Refuses to overwrite files at `path` and beside it that are not exported weights.

    Raises:
        OnebitError: They are others, and `force` is not given.
    """
    card = card_path(path)
    files.require_own(card, lambda file: "weights_sha256" in files.read_json(file), force)
    files.require_own(
        path, lambda file: files.read_json(card)["weights_sha256"] == files.sha256(file), force
    )


def export(run: Run, path: Path, *, force: bool = False) -> None:
    """Writes a run's weights to `path` (`.npz`) and its card beside it (`.json`).

    Args:
        run: The run.
        path: The file for the weights.
        force: Whether to overwrite files that are not exported weights.

    Raises:
        OnebitError: A binary weight is not ±scale with one scale per output channel or row, or
            the files cannot be written, or are others.
    """
    require_own(path, force)
    arrays = pack(run.model)
    if run.preprocessing is not None:
        arrays |= {f"{FITTED}{key}": array for key, array in run.preprocessing.arrays.items()}
    if run.tokenizer is not None:
        arrays["tokenizer"] = np.frombuffer(run.tokenizer.model, np.uint8)
    kind = "images" if run.samples.images.dtype == np.uint8 else "tokens"
    arrays |= {kind: run.samples.images[:SAMPLES], "labels": run.samples.labels[:SAMPLES]}
    # The card goes last: weights without one are never taken for whole.
    files.write_arrays(path, arrays, compressed=True)
    kept = {key: value for key, value in run.card.items() if not key.endswith("_sha256")}
    shapes = {name: list(weight.shape) for name, weight in named_weights(run.model).items()}
    files.write_json(
        card_path(path), {**kept, "weights": shapes, "weights_sha256": files.sha256(path)}
    )


def card_path(path: Path) -> Path:
    """The card beside a file of weights."""
    return path.with_suffix(".json")


def pack(model: keras.Model) -> Arrays:
    """The weights of a model, binary kernels as bits.

    Raises:
        OnebitError: A binary kernel is not ±scale with one scale per output channel or row.
    """
    arrays: Arrays = {}
    for name, weight in named_weights(model).items():
        values = weight.numpy()
        quantizer = _binary_quantizer(weight)
        if quantizer is None:
            arrays[f"{name}.values"] = values
            continue
        quantized = np.asarray(quantizer(weight.value()))
        magnitudes = np.abs(quantized).reshape(-1, quantized.shape[-1])
        by_channel = quantized.ndim != 2 or bool((magnitudes == magnitudes[0]).all())
        scale = magnitudes[0] if by_channel else magnitudes[:, :1]
        signs = bits.unpack(bits.pack(quantized), quantized.shape[-1])
        # The quantizer must give these values back, whatever the latent weights were; a mean of n
        # equal magnitudes, however, summed in float32, is off by up to n roundings.
        restored = np.asarray(quantizer((signs * scale).astype(np.float32)))
        roundings = quantized.size // scale.size * 2.0**-24
        if not np.allclose(restored, quantized, rtol=roundings, atol=0):
            raise OnebitError(
                f"{name} cannot be exported as bits: its values are not ±scale with one "
                "scale per output channel or row"
            )
        arrays[f"{name}.bits"] = bits.pack(quantized)
        if np.any(scale != 1):
            arrays[f"{name}.scale"] = scale
    return arrays


def unpack(model: keras.Model, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Gives a model the weights that `pack` has packed; binary kernels become ±1 or ±scale.

    Raises:
        OnebitError: They are of another model.
    """
    weights = []
    stored = dict.fromkeys(
        key.rpartition(".")[0] for key in arrays if key.endswith((".bits", ".values"))
    )
    # By their order: names that Keras made up depend on what else was built in the process.
    keys = itertools.chain(stored, itertools.repeat(None))
    for key, (name, weight) in zip(keys, named_weights(model).items(), strict=False):
        values = arrays.get(f"{key}.values")
        packed = arrays.get(f"{key}.bits")
        if packed is not None:
            channels = weight.shape[-1]
            if packed.shape[-1] == bits.packed_length(channels):
                values = bits.unpack(packed, channels)
                values = values * arrays.get(f"{key}.scale", np.float32(1))
        if values is None or values.shape != tuple(weight.shape):
            raise OnebitError(
                f"the weights are of another model: {name} is {list(weight.shape)} here and "
                f"{'absent' if values is None else list(values.shape)} there"
            )
        weights.append(values)
    model.set_weights(weights)


def _binary_quantizer(weight: Any) -> Any:
    """The quantizer that makes a weight binary, if one does; Larq keeps it with the variable."""
    quantizer = getattr(weight, "quantizer", None)
    return quantizer if getattr(quantizer, "precision", None) == 1 else None


def pretrained(name: str) -> list[str]:
    """The tags of the pretrained weights of a model: the data sets of their training."""
    folder = _folder()
    if not folder.is_dir():
        return []
    prefix = f"{name}@"
    return sorted(p.stem.removeprefix(prefix) for p in folder.glob(f"{prefix}*.npz"))


def pretrained_path(name: str, tag: str) -> Path:
    """The file of pretrained weights of a model, whether there is one or not."""
    return _folder() / f"{name}@{tag}.npz"


def load_trained(name: str, weights: str, **options: Any) -> Run:
    """A model with trained weights, as the run that it comes from, without its history.

    Args:
        name: Registry name of the model.
        weights: The tag of pretrained weights, or the path of an exported `.npz` file.
        options: The builder's options, which must be those that the weights were trained with.

    Raises:
        UsageError: There are no such weights, or they have other options.
        OnebitError: The file is damaged, or of another model.
    """
    path = Path(weights)
    if path.suffix != ".npz":
        known = pretrained(name)
        if weights not in known:
            has = near_matches(weights, known) if known else "none ship for it"
            raise UsageError(
                f"{name} has no weights {weights!r}; {has}; or give the path of a .npz file"
            )
        path = pretrained_path(name, weights)
    return load_file(name, path, **options)


def load_file(name: str, path: Path, **options: Any) -> Run:
    """As `load_trained`, from a file that `export` has written."""
    from zoo.models import models

    card = with_current_names(files.read_json(card_path(path)))
    if not isinstance(card, dict) or card.get("schema_version") != SCHEMA_VERSION:
        raise OnebitError(f"{card_path(path)} is not a card that this version reads")
    try:
        decode(ExportedCard, card, "card")
    except ValueError as error:
        raise OnebitError(
            f"{card_path(path)} is damaged: {error}", hint="export the run again"
        ) from error
    if card["name"] != name:
        raise UsageError(f"{path} holds weights of {card['name']}, not of {name}")
    if not path.is_file() or files.sha256(path) != card["weights_sha256"]:
        raise OnebitError(f"{path} is not the file that {card_path(path).name} describes")
    trained = {key: _tuples(value) for key, value in card["options"].items()}
    for key, value in options.items():
        if key in trained and trained[key] != value:
            raise UsageError(f"{path.name} was trained with {key}={trained[key]}, not {value}")
    try:
        arrays = files.read_arrays(path)
    except ValueError as error:
        raise OnebitError(f"{path} cannot be read: {error}") from error
    model = models.get(name).build(**{**trained, **options})
    unpack(model, arrays)
    samples = Split(arrays["tokens" if "tokens" in arrays else "images"], arrays["labels"])
    preprocessor = tokenizer = None
    if card["preprocessing"] is not None:
        fitted = {k.removeprefix(FITTED): v for k, v in arrays.items() if k.startswith(FITTED)}
        preprocessor = Preprocessor(Preprocessing(**card["preprocessing"]), fitted)
    if "tokenizer" in arrays:
        tokenizer = Tokenizer(arrays["tokenizer"].tobytes())
    return Run(path.parent, model, card, samples, [], preprocessor, tokenizer)


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that builders take."""
    return tuple(value) if isinstance(value, list) else value


def _folder() -> Path:
    return Path(str(resources.files("zoo") / "weights"))
