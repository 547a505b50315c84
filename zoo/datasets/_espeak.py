"""Words spoken by espeak-ng, a formant synthesiser: https://github.com/espeak-ng/espeak-ng."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onebit.audio import decoded_pcm, resampled
from onebit.errors import OnebitError

COMMAND = "espeak-ng"
PACKAGE = "espeak-ng"
"""Debian's package of it."""

RATE = 22_050
"""Samples a second of its voices."""

HEADER_BYTES = 44
QUIET = 0.02
"""Of the largest magnitude: the pauses before and after a word are below it."""


@dataclass(frozen=True)
class Utterance:
    """A word and how it is spoken.

    Attributes:
        word: The word.
        accent: A voice of espeak-ng, such as `en-us`.
        variant: A variant of voices, such as `f2`, which changes the speaker.
        speed: Words a minute.
        pitch: 0 to 99.
    """

    word: str
    accent: str
    variant: str
    speed: int
    pitch: int


def version() -> str:
    """Which espeak-ng is here, as it says itself.

    Raises:
        OnebitError: None is.
    """
    # Where its data lie, which the line ends with, does not matter.
    return _run("--version").decode(errors="replace").partition("Data at")[0].strip()


def require_voices(accents: Collection[str], variants: Collection[str]) -> None:
    """Refuses voices that are not installed, in place of which espeak-ng would take others.

    Raises:
        OnebitError: One is missing, or espeak-ng is.
    """
    known = {line.split()[1] for line in _lines("--voices=en")}
    known |= {Path(column).name for line in _lines("--voices=variant") for column in line.split()}
    missing = sorted({*accents, *variants} - known)
    if missing:
        raise OnebitError(
            f"{version()} has no voice {', '.join(missing)}",
            hint=f"install Debian 12's package {PACKAGE} or a later one",
        )


def spoken(utterance: Utterance) -> NDArray[np.float64]:
    """The word's samples in [-1, 1] at 16 kHz, without the pauses around it.

    Raises:
        OnebitError: espeak-ng is missing or fails.
    """
    content = _run(
        *("-v", f"{utterance.accent}+{utterance.variant}"),
        *("-s", str(utterance.speed), "-p", str(utterance.pitch)),
        *("--stdout", utterance.word),
    )
    # Into a pipe it writes a header of a fixed size, without the sound's length.
    samples = resampled(decoded_pcm(content[HEADER_BYTES:], 2), RATE)
    magnitudes = np.abs(samples)
    loud = np.flatnonzero(magnitudes > QUIET * magnitudes.max(initial=0.0))
    if not len(loud):
        raise OnebitError(f"{COMMAND} spoke {utterance.word!r} without a sound")
    return samples[loud[0] : loud[-1] + 1]


def _lines(option: str) -> list[str]:
    return _run(option).decode(errors="replace").splitlines()[1:]


def _run(*arguments: str) -> bytes:
    try:
        done = subprocess.run([COMMAND, *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise OnebitError(
            f"{COMMAND}, which speaks the words of this data set, is not installed",
            hint=f"apt-get install {PACKAGE}",
        ) from error
    if done.returncode:
        raise OnebitError(
            f"{COMMAND} {' '.join(arguments)} failed: "
            f"{done.stderr.decode(errors='replace').strip() or done.returncode}"
        )
    return done.stdout
