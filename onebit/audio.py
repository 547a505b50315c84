"""Sounds as spectrograms: what keyword spotters take in place of a sound's samples.

    wav file → 16,000 samples, one second → MFCCs or log-mel energies → 8 bits each

A spectrogram is uint8 `[frames, coefficients, 1]`, like a grey image, and `low + step · byte` is
its value. MLPerf Tiny's quantized keyword spotter takes 8 bits, too.
"""

from __future__ import annotations

import functools
import shlex
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError, UsageError, first_line, unreadable

SAMPLE_RATE = 16_000
SECOND = SAMPLE_RATE
"""Samples of a clip, which lasts a second."""

Floats = NDArray[np.floating]


def read_wav(path: str | Path) -> NDArray[np.float32]:
    """The first second of a wav file, mono `[16000]` in [-1, 1]; what is shorter ends in zeros.

    PCM of 8 to 32 bits at any rate; channels are averaged.

    Raises:
        UsageError: There is no such file.
        OnebitError: It is not a wav file of PCM.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            # What comes later is cut off anyway.
            content = file.readframes(2 * rate)
        samples = decoded_pcm(content, width).reshape(-1, channels).mean(axis=1)
        if not len(samples):
            raise ValueError("it holds no sound")
    except FileNotFoundError as error:
        raise UsageError(unreadable(path, error)) from error
    except (wave.Error, EOFError, OSError, ValueError) as error:
        reason = "it ends too early" if isinstance(error, EOFError) else first_line(error)
        source = shlex.quote(str(path))
        raise OnebitError(
            f"{path} is not a wav file of PCM: {reason}",
            hint=f"convert it: ffmpeg -i {source} -ac 1 -ar {SAMPLE_RATE} -c:a pcm_s16le out.wav",
        ) from error
    return one_second(resampled(samples, rate)).astype(np.float32)


def decoded_pcm(content: bytes, width: int) -> Floats:
    """Samples in [-1, 1) of little-endian PCM with `width` bytes a sample; 8 bits are unsigned."""
    raw = np.frombuffer(content, np.uint8)
    raw = raw[: len(raw) // width * width].reshape(-1, width)
    if width == 1:
        return raw[:, 0] / 128.0 - 1.0
    # Up to 32 bits: zeros below, as if the sample had always been that long.
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 4 - width :] = raw
    return wide.view("<i4")[:, 0] / 2.0**31


def resampled(samples: Floats, rate: int, to: int = SAMPLE_RATE) -> Floats:
    """A sound at another rate: its Fourier series, cut off or continued with zeros.

    Args:
        samples: `[N]` at `rate`.
        rate: Samples a second.
        to: Samples a second of the result, `[round(N·to/rate)]`.
    """
    count = round(len(samples) * to / rate)
    if rate == to or not count:
        return samples[:count]
    spectrum = np.fft.rfft(samples)
    kept = min(len(spectrum), count // 2 + 1)
    return np.fft.irfft(spectrum[:kept], count) * (count / len(samples))


def one_second(samples: Floats) -> Floats:
    """The first 16,000 samples; zeros follow a shorter sound."""
    return np.pad(samples[:SECOND], (0, SECOND - min(len(samples), SECOND)))


@dataclass(frozen=True)
class FrontEnd:
    """How a second of sound becomes a spectrogram.

    Attributes:
        name: For people.
        frames: Points in time.
        coefficients: Numbers of each.
        values: Samples `[16000]` → `[frames, coefficients]`.
        step: What a byte more means.
        low: What byte 0 means; smaller values become it, too large ones byte 255.
    """

    name: str
    frames: int
    coefficients: int
    values: Callable[[Floats], Floats]
    step: float
    low: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """`[frames, coefficients, 1]`."""
        return self.frames, self.coefficients, 1

    def __call__(self, samples: Floats) -> NDArray[np.uint8]:
        """The spectrogram of samples `[16000]` in [-1, 1]: uint8 `[frames, coefficients, 1]`."""
        levels = np.round((self.values(samples) - self.low) / self.step)
        return np.clip(levels, 0, 255).astype(np.uint8)[..., np.newaxis]


def front_end_of(shape: tuple[int, ...]) -> FrontEnd | None:
    """The front end whose spectrograms have that shape `[frames, coefficients, 1]`."""
    return next((each for each in FRONT_ENDS if each.shape == tuple(shape)), None)


MFCC_WINDOW, MFCC_HOP, MFCC_FFT = 640, 320, 1024
MFCC_MELS, MFCC_RANGE, MFCC_COUNT = 40, (20.0, 4000.0), 10


def mfccs(samples: Floats) -> Floats:
    """Mel-frequency cepstral coefficients `[49, 10]` of samples `[16000]`, as MLPerf Tiny's.

    x/max|x| → frames of 40 ms every 20 ms, Hann → |FFT| → 40 mel bands from 20 to 4,000 Hz →
    log(· + 1e-6) → the first 10 coefficients of the orthonormal-but-for-the-first DCT-II,
    √(2/40)·Σ_n y_n·cos(πk(2n + 1)/80)

    MLPerf Tiny Benchmark, arXiv 2106.07597, with TensorFlow's `tf.signal` in the program,
    https://github.com/mlcommons/tiny, training/keyword_spotting/get_dataset.py.

    Differs from the program: windows of 40 ms as in Hello Edge, arXiv 1711.07128, where its flag's
    default is 30 ms, with the same 49 frames; divides by the largest magnitude, where it takes the
    largest sample, and leaves a clip of zeros as it is.
    """
    largest = np.abs(samples).max()
    frames = np.lib.stride_tricks.sliding_window_view(samples / (largest or 1.0), MFCC_WINDOW)
    magnitudes = np.abs(np.fft.rfft(frames[::MFCC_HOP] * _hann(MFCC_WINDOW), MFCC_FFT))
    energies = np.log(magnitudes @ _mel_bands_of_tensorflow() + 1e-6)
    return energies @ _cosines(MFCC_MELS, MFCC_COUNT)


LOG_MEL_WINDOW, LOG_MEL_HOP, LOG_MEL_BANDS = 2048, 512, 32


def log_mel(samples: Floats) -> Floats:
    """Mel energies in dB `[32, 32]` of samples `[16000]`, as BiFSMN's.

    128 ms every 32 ms, centred and mirrored at both ends, Hann → |FFT|²/Σ window² → 32 mel bands
    from 0 to 8,000 Hz → 10·log₁₀(max(·, 1e-10))

    BiFSMN: Binary Neural Network for Keyword Spotting, arXiv 2202.06483, with torchaudio's
    MelSpectrogram and AmplitudeToDB in the program, https://github.com/htqin/BiFSMN,
    train_valid_test.py.
    """
    mirrored = np.pad(samples, LOG_MEL_WINDOW // 2, mode="reflect")
    window = _hann(LOG_MEL_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, LOG_MEL_WINDOW)[::LOG_MEL_HOP]
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / np.square(window).sum()
    return 10 * np.log10(np.maximum(power @ _mel_bands_of_torchaudio(), 1e-10))


def hertz_to_mel(hertz: Floats) -> Floats:
    """HTK's mel scale: 1127·ln(1 + f/700)."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def mel_to_hertz(mel: Floats) -> Floats:
    """The inverse of `hertz_to_mel`."""
    return 700.0 * np.expm1(np.asarray(mel) / 1127.0)


@functools.cache
def _hann(length: int) -> Floats:
    """A periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@functools.cache
def _mel_bands_of_tensorflow() -> Floats:
    """`[513, 40]`: triangles over the mel scale; the constant part belongs to no band."""
    lowest, highest = hertz_to_mel(np.array(MFCC_RANGE))
    edges = np.linspace(lowest, highest, MFCC_MELS + 2)
    bins = hertz_to_mel(np.arange(MFCC_FFT // 2 + 1) * SAMPLE_RATE / MFCC_FFT)
    bands = _triangles(bins, edges)
    bands[0] = 0.0
    return bands


@functools.cache
def _mel_bands_of_torchaudio() -> Floats:
    """`[1025, 32]`: triangles over the frequency, with corners at equal distances in mel."""
    lowest, highest = hertz_to_mel(np.array([0.0, SAMPLE_RATE / 2]))
    edges = mel_to_hertz(np.linspace(lowest, highest, LOG_MEL_BANDS + 2))
    return _triangles(np.linspace(0.0, SAMPLE_RATE / 2, LOG_MEL_WINDOW // 2 + 1), edges)


def _triangles(places: Floats, edges: Floats) -> Floats:
    """`[places, bands]`: band b rises from edge b to edge b + 1 and falls to edge b + 2."""
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (places[:, np.newaxis] - left) / (middle - left)
    falling = (right - places[:, np.newaxis]) / (right - middle)
    return np.maximum(0.0, np.minimum(rising, falling))


@functools.cache
def _cosines(length: int, count: int) -> Floats:
    """`[length, count]`: the DCT-II with the factor √(2/length)."""
    angles = np.outer(2 * np.arange(length) + 1, np.arange(count)) * np.pi / (2 * length)
    return np.sqrt(2 / length) * np.cos(angles)


MFCC = FrontEnd("MFCCs", 49, MFCC_COUNT, mfccs, step=0.4, low=-64.0)
LOG_MEL = FrontEnd("log-mel energies", 32, LOG_MEL_BANDS, log_mel, step=0.5, low=-100.0)
FRONT_ENDS = (MFCC, LOG_MEL)
