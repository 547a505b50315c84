"""Ten keywords spoken by a synthesiser's voices, for training keyword spotters without a download.

Not Speech Commands (arXiv 1804.03209), only its twelve classes and words: espeak-ng's formant
voices vary far less than people, so an accuracy here says nothing about one there. Each network
and its float baseline compare on it, and nothing else does.

A clip is a second of sound: a word somewhere in it, at a random speed, pitch and loudness, with
coloured noise. No accent and no variant of espeak-ng's voices is in two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit import files
from onebit.audio import FRONT_ENDS, LOG_MEL, MFCC, SECOND, FrontEnd
from onebit.console import say
from onebit.errors import OnebitError
from zoo.datasets import Dataset, Split, register_dataset
from zoo.datasets._espeak import Utterance, require_voices, spoken, version

NAME = "spoken_keywords_synthetic"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
CLASSES = (*KEYWORDS, UNKNOWN, SILENCE)
OTHER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow"),
)
"""The words of "unknown": the others of Speech Commands V1."""

SEED = 12
SPEEDS = (110, 221)
"""Words a minute; the end is not included, here and in `PITCHES`."""

PITCHES = (25, 76)
PEAKS = (0.1, 0.9)
"""The largest magnitude of a word."""

NOISE_DB = (-35.0, -5.0)
"""The noise's loudness beside the word's, as root mean squares."""

SILENCE_DB = (-80.0, -20.0)
"""The loudness of noise without a word."""

FORMAT = 1
"""Raised when a change here makes other clips of the same settings."""


@dataclass(frozen=True)
class Voices:
    """The voices of a split, every accent with every variant, and its clips of each class."""

    accents: tuple[str, ...]
    variants: tuple[str, ...]
    clips: int


VOICES = {
    "train": Voices(
        ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-029"),
        (
            *("m1", "m2", "m3", "m4", "m5", "f1", "f2", "f3"),
            *("Alex", "Alicia", "Andy", "Denis", "Gene", "Hugo", "Jacky", "Marco", "Michael"),
            *("adam", "anika", "antonio", "belinda", "boris", "david", "ed", "grandma", "john"),
            *("linda", "max", "norbert", "paul", "quincy", "robert", "steph", "victor", "zac"),
        ),
        250,
    ),
    "validation": Voices(
        ("en-gb-x-gbcwmd",), ("m6", "f4", "Annie", "Mike", "benjamin", "edward", "pablo"), 40
    ),
    "test": Voices(
        ("en-gb-x-rp", "en-us-nyc"),
        (
            *("m7", "m8", "f5", "Andrea", "Diogo", "Lee", "Mario"),
            *("aunty", "caleb", "grandpa", "miguel", "pedro", "rob", "shelby", "travis"),
        ),
        85,
    ),
}


@register_dataset(input_shape=MFCC.shape, classes=len(CLASSES))
def spoken_keywords_synthetic(folder: Path) -> Dataset:
    """Ten keywords of espeak-ng's voices as 49×10 MFCCs: 3,000 to train on, 480, 1,020 to test.

    Synthetic: not Speech Commands, whose classes it has. The first use speaks the words, which
    takes two minutes, and keeps the spectrograms in `folder`.
    """
    return _dataset(NAME, folder, MFCC)


@register_dataset(input_shape=LOG_MEL.shape, classes=len(CLASSES))
def spoken_keywords_synthetic_log_mel(folder: Path) -> Dataset:
    """The clips of spoken_keywords_synthetic as 32×32 log-mel energies, which BiFSMN takes.

    They lie in that data set's folder, beside `folder`.
    """
    return _dataset(f"{NAME}_log_mel", folder.with_name(NAME), LOG_MEL)


def _dataset(name: str, folder: Path, front_end: FrontEnd) -> Dataset:
    arrays, provenance = kept_clips(folder)
    splits = {
        split: Split(arrays[f"{split}.{front_end.name}"], arrays[f"{split}.labels"])
        for split in VOICES
    }
    return Dataset(
        name=name,
        classes=CLASSES,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        source=provenance,
    )


def kept_clips(folder: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """The spectrograms and labels of every split, and what they were spoken by.

    They are read from `folder` where they lie, else made and kept there, all or none.

    Raises:
        OnebitError: espeak-ng or one of its voices is missing, or the files are damaged or cannot
            be written.
    """
    clips, card = folder / "clips.npz", folder / "provenance.json"
    if card.is_file():
        known = files.read_json(card)
        if known.get("settings") == settings() and clips.is_file():
            if files.sha256(clips) != known["sha256"]:
                raise OnebitError(f"{clips} is damaged", hint=f"remove {folder}: it is made again")
            with np.load(clips, allow_pickle=False) as arrays:
                return dict(arrays), known["source"]
    files.require_writable(clips)
    source = version()
    require_voices(
        [accent for voices in VOICES.values() for accent in voices.accents],
        [variant for voices in VOICES.values() for variant in voices.variants],
    )
    arrays = {}
    for split in VOICES:
        arrays |= {f"{split}.{key}": array for key, array in made_clips(split).items()}
    # The card goes last: clips without one are made again.
    files.write_arrays(clips, arrays, compressed=True)
    files.write_json(
        card, {"source": source, "settings": settings(), "sha256": files.sha256(clips)}
    )
    return arrays, source


def settings() -> dict[str, Any]:
    """Everything that decides the clips but espeak-ng's version, as JSON holds it."""
    return {
        "format": FORMAT,
        "seed": SEED,
        "words": [*CLASSES, *OTHER_WORDS],
        "ranges": [list(each) for each in (SPEEDS, PITCHES, PEAKS, NOISE_DB, SILENCE_DB)],
        "voices": {
            split: [list(voices.accents), list(voices.variants), voices.clips]
            for split, voices in VOICES.items()
        },
        "front_ends": [[each.name, list(each.shape), each.step, each.low] for each in FRONT_ENDS],
    }


def made_clips(split: str) -> dict[str, NDArray[Any]]:
    """The split's spectrograms by front end, and `labels`; mixed, the same each time."""
    count = len(CLASSES) * VOICES[split].clips
    spectrograms = {each.name: np.empty((count, *each.shape), np.uint8) for each in FRONT_ENDS}
    labels = np.empty(count, np.int64)
    for index, (label, samples) in enumerate(clips_of(split)):
        if index % 500 == 0:
            say(f"{NAME}: {split}, {index:,} of {count:,} words spoken")
        labels[index] = label
        for each in FRONT_ENDS:
            spectrograms[each.name][index] = each(samples)
    return {**spectrograms, "labels": labels}


def clips_of(split: str) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Label and samples `[16000]` of each clip of a split, the classes mixed."""
    voices, place = VOICES[split], list(VOICES).index(split)
    labels = np.repeat(np.arange(len(CLASSES)), voices.clips)
    for index, label in enumerate(np.random.default_rng([SEED, place]).permutation(labels)):
        # One generator a clip: each can be made by itself.
        generator = np.random.default_rng([SEED, place, index])
        if CLASSES[label] == SILENCE:
            loudness = 10 ** (generator.uniform(*SILENCE_DB) / 20)
            yield int(label), loudness * coloured_noise(generator)
        else:
            yield int(label), noisy(spoken(drawn(CLASSES[label], voices, generator)), generator)


def drawn(name: str, voices: Voices, generator: np.random.Generator) -> Utterance:
    """A word of a class, spoken by one of the voices in one of many ways."""
    return Utterance(
        word=str(generator.choice(OTHER_WORDS)) if name == UNKNOWN else name,
        accent=str(generator.choice(voices.accents)),
        variant=str(generator.choice(voices.variants)),
        speed=int(generator.integers(*SPEEDS)),
        pitch=int(generator.integers(*PITCHES)),
    )


def noisy(word: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """A second of sound `[16000]` with the word somewhere in it, its middle if it is longer."""
    word = word * (generator.uniform(*PEAKS) / np.abs(word).max())
    excess = len(word) - SECOND
    if excess > 0:
        word = word[excess // 2 :][:SECOND]
    loudness = np.sqrt(np.square(word).mean()) * 10 ** (generator.uniform(*NOISE_DB) / 20)
    clip = loudness * coloured_noise(generator)
    begin = int(generator.integers(SECOND - len(word) + 1))
    clip[begin : begin + len(word)] += word
    return np.clip(clip, -1.0, 1.0)


def coloured_noise(generator: np.random.Generator) -> NDArray[np.float64]:
    """A second of noise of unit loudness whose power falls as 1/f^β, with β drawn from 0 to 2."""
    spectrum = np.fft.rfft(generator.standard_normal(SECOND))
    frequencies = np.maximum(np.arange(len(spectrum)), 1.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-generator.uniform(0.0, 2.0) / 2), SECOND)
    return noise / np.sqrt(np.square(noise).mean())
