"""Spectrograms against SciPy's and TensorFlow's signal processing, and wav files of all kinds."""

import subprocess
import sys
import wave

import numpy as np
import pytest
import scipy.fft
import scipy.signal

from onebit import audio
from onebit.errors import OnebitError, UsageError


@pytest.fixture
def sound():
    """A second of a rising tone in noise, `[16000]`."""
    time = np.arange(16_000) / 16_000
    noise = np.random.default_rng(3).normal(size=16_000)
    return 0.4 * np.sin(2 * np.pi * (200 + 1_500 * time) * time) * (time > 0.2) + 0.01 * noise


def triangles(places, edges):
    """`[places, bands]`, one place and band at a time."""
    found = np.zeros((len(places), len(edges) - 2))
    for band, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for row, place in enumerate(places):
            if left < place <= middle:
                found[row, band] = (place - left) / (middle - left)
            elif middle < place < right:
                found[row, band] = (right - place) / (right - middle)
    return found


def mel(hertz):
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def test_mfccs_are_scipys_cosine_transform_of_log_mel_energies(sound):
    _, _, spectrum = scipy.signal.stft(
        sound / np.abs(sound).max(),
        window="hann",
        nperseg=640,
        noverlap=320,
        nfft=1024,
        detrend=False,
        boundary=None,
        padded=False,
    )
    # SciPy divides by the window's sum, which is 320.
    magnitudes = 320 * np.abs(spectrum.T)
    bands = triangles(mel(np.arange(513) * 15.625), np.linspace(mel(20), mel(4000), 42))
    expected = scipy.fft.dct(np.log(magnitudes @ bands + 1e-6), type=2) / np.sqrt(80)
    np.testing.assert_allclose(audio.mfccs(sound), expected[:, :10], atol=1e-9)


@pytest.mark.slow
def test_mfccs_are_those_of_mlperf_tinys_program(sound):
    from onebit.keras import tf

    signal = tf.constant(sound / np.abs(sound).max(), tf.float32)
    spectrum = tf.abs(tf.signal.stft(signal, 640, 320, window_fn=tf.signal.hann_window))
    bands = tf.signal.linear_to_mel_weight_matrix(40, spectrum.shape[-1], 16_000, 20.0, 4_000.0)
    energies = tf.math.log(tf.tensordot(spectrum, bands, 1) + 1e-6)
    expected = tf.signal.mfccs_from_log_mel_spectrograms(energies)[..., :10]
    # float32 there: a few hundred terms of up to 14.
    np.testing.assert_allclose(audio.mfccs(sound), expected, atol=1e-3)


def test_log_mel_energies_are_scipys_power_in_triangles_over_the_frequency(sound):
    _, frames, spectrum = scipy.signal.stft(
        sound,
        window="hann",
        nperseg=2048,
        noverlap=1536,
        detrend=False,
        boundary="even",  # mirrors without repeating the end, as "reflect" does
        padded=False,
    )
    window = scipy.signal.get_window("hann", 2048)
    power = np.abs(spectrum.T * window.sum()) ** 2 / np.square(window).sum()
    corners = 700 * (10 ** (np.linspace(0, mel(8000), 34) / 2595) - 1)
    bands = triangles(np.linspace(0, 8000, 1025), corners)
    expected = 10 * np.log10(np.maximum(power @ bands, 1e-10))
    assert len(frames) == 32
    np.testing.assert_allclose(audio.log_mel(sound), expected, atol=1e-6)


@pytest.mark.parametrize("front_end", audio.FRONT_ENDS, ids=lambda each: each.name)
def test_bytes_are_the_values_in_steps(front_end, sound):
    found = front_end(sound)
    assert (found.dtype, found.shape) == (np.uint8, front_end.shape)
    values = front_end.values(sound)
    # Half a step, where nothing is cut off.
    assert np.abs(front_end.low + front_end.step * found[..., 0] - values).max() <= (
        front_end.step / 2 + 1e-9
    )
    assert audio.front_end_of(front_end.shape) is front_end
    # Silence is below the range in its first coefficient.
    np.testing.assert_array_equal(front_end(np.zeros(16_000))[:, 0], 0)


def test_loudness_changes_no_mfcc_but_every_log_mel_energy(sound):
    np.testing.assert_allclose(audio.mfccs(sound / 4), audio.mfccs(sound), atol=1e-9)
    difference = audio.log_mel(sound) - audio.log_mel(sound / 4)
    np.testing.assert_allclose(difference, 20 * np.log10(4), atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_wav_file_of_any_rate_and_width_gives_one_second(tmp_path, rate, width):
    time = np.arange(int(0.75 * rate)) / rate
    tones = [np.sin(2 * np.pi * hertz * time) * np.hanning(len(time)) for hertz in (300, 900)]
    path = tmp_path / "two_channels.wav"
    write_wav(path, np.stack(tones, axis=1) / 2, rate, width)
    found = audio.read_wav(path)
    assert (found.dtype, found.shape) == (np.float32, (16_000,))
    expected = scipy.signal.resample(sum(tones) / 4, 12_000)
    # A step of the width, twice: written and rounded.
    np.testing.assert_allclose(found[:12_000], expected, atol=2 * 2.0 ** (1 - 8 * width) + 1e-6)
    assert not found[12_000:].any()


def write_wav(path, samples, rate=16_000, width=2):
    """Writes `[N, channels]` in [-1, 1) as PCM."""
    levels = np.round(samples * 2.0 ** (8 * width - 1)).astype(np.int64)
    if width == 1:
        content = (levels + 128).astype(np.uint8).tobytes()
    else:
        content = levels.astype("<i8")[..., np.newaxis].view(np.uint8)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(content)


def test_only_the_first_second_counts(tmp_path):
    samples = np.random.default_rng(4).uniform(-0.5, 0.5, (40_000, 1))
    write_wav(tmp_path / "long.wav", samples)
    # Half a step of 16 bits.
    np.testing.assert_allclose(
        audio.read_wav(tmp_path / "long.wav"), samples[:16_000, 0], atol=2.0**-16 + 1e-7
    )


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3 an mp3 file"])
def test_what_is_not_a_wav_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.wav"
    path.write_bytes(content)
    with pytest.raises(OnebitError, match=r"other\.wav is not a wav file of PCM") as error:
        audio.read_wav(path)
    assert "ffmpeg" in error.value.hint
    with pytest.raises(UsageError, match="does not exist"):
        audio.read_wav(tmp_path / "absent.wav")


def test_an_empty_wav_file_is_refused(tmp_path):
    write_wav(tmp_path / "empty.wav", np.zeros((0, 1)))
    with pytest.raises(OnebitError, match="it holds no sound"):
        audio.read_wav(tmp_path / "empty.wav")


def test_sounds_need_numpy_only():
    program = "import sys, onebit.audio; sys.exit(bool({'scipy', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
