"""One inference: a file's answer to an image, an array or a labelled sample."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bench.backends import Backend, default_backends, find_backends
from edge.bench.models import conversion_report, find_lce_ops, read_model
from edge.bench.samples import EvalSamples, array_samples, feed, read_samples
from edge.bench.signature import Input, Signature, read_signature
from edge.devices.local import local_offer
from edge.runner.bench import load
from edge.runner.errors import RequestError
from edge.runner.inputs import data_inputs
from edge.runner.runtimes import import_runtime
from onebit.audio import FRONT_ENDS, front_end_of, read_wav
from onebit.delegate import HINT, find_delegate
from onebit.errors import OnebitError, UsageError, first_line, unreadable
from onebit.files import sha256
from onebit.metadata import Metadata, Normalization, read_metadata

SOUND = ".wav"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm")
CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels of a model's input → Pillow's mode."""


PixelsOf = Callable[[Input], Normalization | None]
"""For an input that takes images: how pixels become its numbers; None leaves them as they are."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A file's answer to one sample.

    Attributes:
        outputs: The arrays, with the batch in front, in the file's order.
        first_ns: Duration of the first inference.
        later_ns: The median of the later ones; None if there was only one.
        backend: The backend that ran the file.
        label: The sample's class, where it is known.
    """

    outputs: list[NDArray[Any]]
    first_ns: int
    later_ns: float | None
    backend: str
    label: int | None = None

    @property
    def scores(self) -> NDArray[Any] | None:
        """The one output `[1, classes]` as `[classes]`; None for other outputs."""
        if len(self.outputs) == 1 and self.outputs[0].ndim == 2 and len(self.outputs[0]) == 1:
            return self.outputs[0][0]
        return None


def predict(
    file: Path,
    sources: Sequence[str],
    *,
    backend: str | None = None,
    threads: int = 1,
    runs: int = 10,
    number: int = 0,
    pixels: Normalization | None = None,
    facts: "Facts | None" = None,
) -> Prediction:
    """Runs a file on one sample, in this process.

    Args:
        file: A `.tflite` file.
        sources: What `read_sources` takes.
        backend: A name of `edge.bench.backends.BACKENDS`; one that suits the file when None.
        threads: Their number.
        runs: How often; the later ones are timed together.
        number: The sample's place in an `.npz` file or a run folder, from 0.
        pixels: How an image's pixels become numbers; as `facts` say when None.
        facts: What is known of the file, as `read_facts` finds it.

    Raises:
        UsageError: A source is of no known kind, or the backend is unknown or cannot run the file.
        OnebitError: A file is damaged, or does not fit the model.
    """
    has_lce_ops = bool(find_lce_ops(read_model(file)))
    signature = read_signature(file)

    def pixels_of(entry: Input) -> Normalization | None:
        if pixels is not None or entry.dtype == np.uint8:
            return pixels
        return (facts or Facts()).normalization(file, signature.inputs.index(entry))

    samples = read_sources(file, sources, signature, pixels_of)
    if number >= len(samples):
        raise UsageError(f"{samples.source} has {len(samples)} samples, numbered from 0")
    arrays = [array[number : number + 1] for array in feed(samples, str(file), signature)]
    chosen = _backend(backend, has_lce_ops)
    delegate = find_delegate() if chosen.with_delegate else None
    try:
        interpreter = import_runtime(chosen.runtime)
        load(
            interpreter,
            {
                "model_path": str(file),
                "options": dict(chosen.options),
                "threads": threads,
                "delegate": delegate and {"library": str(delegate.library), "options": {}},
            },
        )
        (inputs,) = data_inputs(arrays, interpreter.inputs, interpreter.quantization)
        durations = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            outputs = interpreter.run(inputs)
            durations.append(time.perf_counter_ns() - start)
    except (ImportError, RequestError, RuntimeError, ValueError) as error:
        raise OnebitError(f"{chosen.name} cannot run {file}: {first_line(error)}") from error
    return Prediction(
        [np.array(output) for output in outputs],
        durations[0],
        statistics.median(durations[1:]) if runs > 1 else None,
        chosen.name,
        None if samples.labels is None else int(samples.labels[number]),
    )


def read_sources(
    file: Path, sources: Sequence[str], signature: Signature, pixels_of: PixelsOf
) -> EvalSamples:
    """The samples of a command's `--input`.

    One source is an image, a wav file, an `.npy` array with or without the batch, an `.npz` file or
    a run folder. Several inputs are given as `NAME=PATH`, an image, a sound or an array each. A
    sound becomes the spectrogram of the model's shape (`onebit.audio`).

    Raises:
        UsageError: A source is none of these, or a name is missing.
        OnebitError: A file is damaged, or an image has no known preprocessing.
    """
    entries = {entry.name: entry for entry in signature.inputs}
    named = [_split(source, entries) for source in sources]
    if len(named) == 1:
        name, path = named[0]
        if path.is_dir() or path.suffix in (".npz", ".json"):
            return read_samples(path)
        if name is None and len(entries) == 1:
            named = [(next(iter(entries)), path)]
    arrays = {}
    for name, path in named:
        if name is None:
            raise UsageError(
                f"{file} has {len(entries)} inputs: {', '.join(entries)}",
                hint="give each as --input NAME=PATH, or one .npz file with all",
            )
        arrays[name] = _array(file, path, entries[name], pixels_of)
    return array_samples(named[0][1], arrays)


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a file: its metadata, and the model card in its conversion report.

    Files of version 0.1.0 have no metadata.
    """

    metadata: Metadata = dataclasses.field(default_factory=Metadata)
    card: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The names of the classes; empty where nothing says them."""
        return list(self.metadata.labels or self.card.get("classes") or ())

    def normalization(self, file: Path, number: int) -> Normalization:
        """How pixels become the numbers of the input of that number.

        Raises:
            OnebitError: Nothing says how, or it is more than a scale and an offset.
        """
        known = self.metadata.normalization.get(number)
        return _normalization_of_card(file, self.card) if known is None else known


def read_facts(file: Path) -> Facts:
    """The facts about a file; the report is read only where the metadata leave something open.

    Raises:
        UsageError: The file is missing, unreadable or not a TensorFlow Lite file.
        OnebitError: It or its metadata are damaged.
    """
    metadata = read_metadata(read_model(file), str(file)) or Metadata()
    if metadata.labels and metadata.normalization:
        return Facts(metadata)
    card = conversion_report(file, sha256(file)).get("card")
    return Facts(metadata, card if isinstance(card, dict) else {})


def _split(source: str, entries: Mapping[str, Input]) -> tuple[str | None, Path]:
    """`NAME=PATH` in two where the model has such an input, else the whole as a path."""
    name, sign, path = source.partition("=")
    return (name, Path(path)) if sign and name in entries else (None, Path(source))


def _backend(name: str | None, has_lce_ops: bool) -> Backend:
    """The backend of that name, else the delegate's for files with LCE's ops, LiteRT for others."""
    offer = local_offer()
    if name is not None:
        (chosen,) = find_backends([name])
        if has_lce_ops and not chosen.runs_lce_ops:
            raise UsageError(f"{name} lacks the ops of Larq Compute Engine, which the file has")
        if chosen.with_delegate and not offer.delegate:
            raise UsageError("the delegate is not there", hint=HINT)
        return chosen
    found = default_backends(has_lce_ops, offer.delegate, offer.runtimes)
    if not found:
        raise OnebitError("nothing here runs the file", hint=HINT)
    return found[-1]


def _array(file: Path, path: Path, entry: Input, pixels_of: PixelsOf) -> NDArray[Any]:
    if path.suffix.lower() in IMAGES:
        return _image(file, path, entry, pixels_of)
    if path.suffix.lower() == SOUND:
        return _sound(file, path, entry, pixels_of)
    if path.suffix != ".npy" and path.exists():
        raise UsageError(
            f"{path} is none of what a model is fed with",
            hint="give an image, a wav file, an .npy array, an .npz file or a run folder",
        )
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(unreadable(path, error)) from error
    except Exception as error:  # damaged files make NumPy raise several kinds
        raise OnebitError(f"{path} is not an .npy file of a plain array") from error
    return array[np.newaxis] if array.shape == entry.shape[1:] else array


def _image(file: Path, path: Path, entry: Input, pixels_of: PixelsOf) -> NDArray[Any]:
    """An image in the size of the model's input `[1, height, width, channels]`."""
    from PIL import Image, UnidentifiedImageError  # of the extra png

    if len(entry.shape) != 4 or entry.shape[3] not in CHANNELS:
        raise UsageError(f"{file} takes {list(entry.shape)}, not images; give an .npy array")
    _, height, width, channels = entry.shape
    try:
        with Image.open(path) as opened:
            image = opened.convert(CHANNELS[channels])
            pixel_values = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    except FileNotFoundError as error:
        raise UsageError(unreadable(path, error)) from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise OnebitError(f"{path} is not an image: {first_line(error)}") from error
    return _numbers(file, pixel_values.reshape(1, height, width, channels), pixels_of(entry))


def _sound(file: Path, path: Path, entry: Input, pixels_of: PixelsOf) -> NDArray[Any]:
    """A sound as the spectrogram of the model's input `[1, frames, coefficients, 1]`."""
    front_end = front_end_of(entry.shape[1:])
    if front_end is None:
        shapes = ", ".join(f"{each.name} as {[1, *each.shape]}" for each in FRONT_ENDS)
        raise UsageError(
            f"{file} takes {list(entry.shape)}, not a sound: those are {shapes}",
            hint="give its input as an .npy array",
        )
    return _numbers(file, front_end(read_wav(path))[np.newaxis], pixels_of(entry))


def _numbers(
    file: Path, pixel_values: NDArray[np.uint8], pixels: Normalization | None
) -> NDArray[Any]:
    """Pixels `[1, height, width, channels]` as the numbers that a model takes."""
    if pixels is None:
        return pixel_values
    channels = pixel_values.shape[3]
    if pixels.channels not in (1, channels):
        raise OnebitError(
            f"{file} has {channels} channels, and its normalisation {pixels.channels}"
        )
    return pixels(pixel_values)


def _normalization_of_card(file: Path, card: Mapping[str, Any]) -> Normalization:
    """That of the model card.

    Raises:
        OnebitError: There is none, or it is more than a scale and an offset.
    """
    hint = "give --scale and --offset, such as --scale 1/127.5 --offset -1, or an .npy array"
    found = card.get("preprocessing")
    if not isinstance(found, dict) or "scale" not in found:
        raise OnebitError(f"nothing says how {file} wants pixels as numbers", hint=hint)
    if found.get("whitening") or found.get("contrast") not in (None, "none"):
        raise OnebitError(f"{file} wants images that are whitened or normalised", hint=hint)
    scale, offset = (np.ravel(found.get(key, 0.0)).tolist() for key in ("scale", "offset"))
    try:
        return Normalization.from_scale(scale, offset)
    except (TypeError, ValueError) as error:
        raise OnebitError(f"the model card of {file} is damaged: {error}", hint=hint) from error
