"""The synthetic keywords: voices, clips and how they are kept.

Whole clips need espeak-ng; the other tests have a stand-in that hums.
"""

import itertools
import json
import shutil

import numpy as np
import pytest

import zoo
from onebit.audio import FRONT_ENDS, LOG_MEL, MFCC, SECOND
from onebit.errors import OnebitError
from zoo.datasets import _espeak, load_dataset, spoken_keywords
from zoo.datasets._espeak import Utterance, spoken
from zoo.datasets.spoken_keywords import (
    CLASSES,
    KEYWORDS,
    NAME,
    OTHER_WORDS,
    VOICES,
    Voices,
    clips_of,
    coloured_noise,
    drawn,
    noisy,
)

needs_espeak = pytest.mark.skipif(
    shutil.which(_espeak.COMMAND) is None, reason="needs Debian's package espeak-ng"
)


@pytest.fixture
def hummed(monkeypatch):
    """A small data set whose words are hummed; the list of those that were."""
    words = []

    def hum(utterance):
        words.append(utterance)
        length = 3_000 + 40 * utterance.speed
        return np.sin(np.arange(length) * (0.05 + 0.001 * utterance.pitch))

    monkeypatch.setattr(spoken_keywords, "spoken", hum)
    monkeypatch.setattr(spoken_keywords, "version", lambda: "hum 1.0")
    monkeypatch.setattr(spoken_keywords, "require_voices", lambda *voices: None)
    few = {split: Voices(v.accents, v.variants, 2) for split, v in VOICES.items()}
    monkeypatch.setattr(spoken_keywords, "VOICES", few)
    return words


def test_no_accent_and_no_variant_is_in_two_splits():
    for one, other in itertools.combinations(VOICES.values(), 2):
        assert not set(one.accents) & set(other.accents)
        assert not set(one.variants) & set(other.variants)
    for voices in VOICES.values():
        assert len(set(voices.variants)) == len(voices.variants)


def test_both_data_sets_are_the_same_clips(hummed, tmp_path, capsys):
    mfcc = load_dataset(NAME, tmp_path)
    spoken_words = len(hummed)
    log_mel = load_dataset(f"{NAME}_log_mel", tmp_path)
    assert (len(hummed), spoken_words) == (3 * 11 * 2,) * 2  # silence is not spoken
    assert (mfcc.input_shape, log_mel.input_shape) == (MFCC.shape, LOG_MEL.shape)
    assert mfcc.classes == (*KEYWORDS, "unknown", "silence")
    assert mfcc.source == log_mel.source == "hum 1.0"
    for split in VOICES:
        mine, theirs = getattr(mfcc, split), getattr(log_mel, split)
        np.testing.assert_array_equal(mine.labels, theirs.labels)
        np.testing.assert_array_equal(np.bincount(mine.labels), 2)
    assert {utterance.word for utterance in hummed} <= {*KEYWORDS, *OTHER_WORDS}
    assert "validation, 0 of 24 words spoken" in capsys.readouterr().err


def test_clips_are_the_same_each_time_and_kept(hummed, tmp_path):
    first = load_dataset(NAME, tmp_path / "first").sha256
    assert load_dataset(NAME, tmp_path / "second").sha256 == first
    hummed.clear()
    assert load_dataset(NAME, tmp_path / "first").sha256 == first
    assert not hummed
    card = tmp_path / "first" / NAME / "provenance.json"
    assert json.loads(card.read_text())["source"] == "hum 1.0"


def test_clips_of_other_settings_are_made_again(hummed, tmp_path, monkeypatch):
    first = load_dataset(NAME, tmp_path).sha256
    monkeypatch.setattr(spoken_keywords, "SEED", 13)
    assert load_dataset(NAME, tmp_path).sha256 != first


def test_an_interruption_leaves_nothing_half_written(hummed, tmp_path, monkeypatch):
    def interrupted(utterance):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(spoken_keywords, "spoken", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset(NAME, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(load_dataset(NAME, tmp_path).train) == 24


def test_damaged_clips_are_refused_by_name(hummed, tmp_path):
    load_dataset(NAME, tmp_path)
    path = tmp_path / NAME / "clips.npz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(OnebitError, match=r"clips\.npz is damaged") as error:
        load_dataset(NAME, tmp_path)
    assert "made again" in error.value.hint


def test_without_espeak_one_line_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OnebitError, match=r"espeak-ng, which speaks .* is not installed") as error:
        load_dataset(NAME, tmp_path)
    assert error.value.hint == "apt-get install espeak-ng"


def test_a_voice_that_is_not_installed_is_named(monkeypatch):
    heading = "Pty Language Age/Gender VoiceName File\n"
    answers = {
        "--version": "eSpeak NG text-to-speech: 1.2  Data at: /usr/lib\n",
        "--voices=en": f"{heading} 5  en-us  --/M  English gmw/en-US  (en 3)\n",
        "--voices=variant": f"{heading} 5  variant  --/F  female1  !v/f1\n",
    }
    monkeypatch.setattr(_espeak, "_run", lambda option: answers[option].encode())
    _espeak.require_voices(["en-us"], ["f1"])
    with pytest.raises(
        OnebitError, match=r"eSpeak NG text-to-speech: 1\.2 has no voice en-gb, f2; "
    ):
        _espeak.require_voices(["en-us", "en-gb"], ["f1", "f2"])


def test_a_word_lies_whole_within_its_second_above_the_noise():
    word = np.sin(np.arange(6_000) * 0.3)
    begins = set()
    for seed in range(8):
        clip = noisy(word, np.random.default_rng(seed))
        assert clip.shape == (SECOND,)
        assert np.abs(clip).max() <= 1
        loud = np.convolve(np.square(clip), np.ones(6_000), "valid")
        begin = int(loud.argmax())
        begins.add(begin)
        part = clip[begin : begin + 6_000]
        # Noise is at least 5 dB below.
        assert abs(np.corrcoef(part, word)[0, 1]) > 0.8
    assert len(begins) > 4


def test_a_longer_word_loses_both_ends():
    word = np.concatenate([np.zeros(4_000), np.ones(SECOND), np.zeros(4_000)])
    clip = noisy(word, np.random.default_rng(1))
    assert np.corrcoef(clip, np.arange(SECOND))[0, 1] ** 2 < 0.1
    assert clip.mean() > 0.05


def test_noise_has_unit_loudness_and_falls_with_the_frequency():
    slopes = []
    for seed in range(6):
        noise = coloured_noise(np.random.default_rng(seed))
        np.testing.assert_allclose(np.square(noise).mean(), 1)
        power = np.abs(np.fft.rfft(noise))[1:] ** 2
        slopes.append(np.polyfit(np.log(np.arange(1, 8_001)), np.log(power), 1)[0])
    assert -2.2 < min(slopes) < max(slopes) < 0.2
    assert max(slopes) - min(slopes) > 0.5


@needs_espeak
def test_voices_differ_and_each_repeats_itself():
    _espeak.require_voices(
        [accent for voices in VOICES.values() for accent in voices.accents],
        [variant for voices in VOICES.values() for variant in voices.variants],
    )
    one = Utterance("seven", "en-us", "f2", 150, 50)
    first = spoken(one)
    np.testing.assert_array_equal(spoken(one), first)
    assert 0.2 * SECOND < len(first) < SECOND
    assert min(abs(first[0]), abs(first[-1])) > _espeak.QUIET * np.abs(first).max()
    for other in (
        Utterance("seven", "en-us", "m3", 150, 50),
        Utterance("seven", "en-gb-scotland", "f2", 150, 50),
        Utterance("seven", "en-us", "f2", 150, 70),
    ):
        samples = spoken(other)
        assert len(samples) != len(first) or np.abs(samples - first).max() > 0.01
    fast = spoken(Utterance("seven", "en-us", "f2", 220, 50))
    assert len(fast) < len(first)


@needs_espeak
def test_clips_of_the_test_split_are_spoken():
    clips = list(itertools.islice(clips_of("test"), 4))
    assert [samples.shape for _, samples in clips] == [(SECOND,)] * 4
    again = next(clips_of("test"))
    assert again[0] == clips[0][0]
    np.testing.assert_array_equal(again[1], clips[0][1])


def test_an_unknown_word_is_one_of_the_others():
    generator = np.random.default_rng(2)
    drawn_words = {drawn("unknown", VOICES["test"], generator).word for _ in range(80)}
    assert drawn_words <= set(OTHER_WORDS)
    assert len(drawn_words) > 15
    utterance = drawn("yes", VOICES["test"], generator)
    assert utterance.word == "yes"
    assert utterance.accent in VOICES["test"].accents
    assert utterance.variant in VOICES["test"].variants
    assert set(CLASSES) == {*KEYWORDS, "unknown", "silence"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    ["binary_ds_cnn_spoken_keywords_synthetic", "bifsmn_spoken_keywords_synthetic_log_mel"],
)
def test_a_recipe_trains_and_its_run_takes_a_wav_file(recipe, hummed, tmp_path):
    run = zoo.train(zoo.resolve_recipe(recipe, smoke=True), tmp_path / "run", data=tmp_path)
    assert run.card["dataset"]["source"] == "hum 1.0"
    (front_end,) = [each for each in FRONT_ENDS if each.shape == tuple(run.card["input_shape"])]
    sound = np.random.default_rng(3).uniform(-0.5, 0.5, SECOND)
    logits = run.model(run.preprocessing(front_end(sound)[np.newaxis]))
    assert logits.shape == (1, 12)
    # The bytes become the front end's own numbers again.
    values = run.preprocessing(front_end(sound)[np.newaxis])[0, ..., 0]
    assert np.abs(values - front_end.values(sound)).max() < 0.51 * front_end.step
