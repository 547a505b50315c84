import errno
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from onebit import files
from onebit.errors import OnebitError
from onebit.keras import keras
from zoo.__main__ import main
from zoo.datasets import Split
from zoo.datasets.preprocessing import MINUS_ONE_TO_ONE
from zoo.runs.run import CARD, CONFIG, HISTORY, MODEL, SAMPLES, is_stage, load_card
from zoo.training.batch_norm import estimate_moments, latent_weights, set_moments
from zoo.training.evaluation import Evaluation, accuracy, latent_weights_accuracy


@pytest.fixture
def run_copy(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    return folder


def test_the_card_says_what_the_other_stages_need(finished_run):
    card = json.loads((finished_run / CARD).read_text())
    run = zoo.load_run(finished_run)
    assert card["schema_version"] == 1
    assert card["name"] == "binary_net_mlp"
    assert card["options"]["units"] == 32
    assert card["recipe"] == "binary_net_mlp_mnist_5k"
    assert card["seed"] == 1
    assert card["commit"] is None or len(card["commit"].rstrip("+")) == 40
    assert card["created"].endswith("+00:00")
    assert card["dataset"]["name"] == "mnist_5k"
    assert len(card["dataset"]["sha256"]) == 64
    assert card["dataset"]["train_samples"] == card["dataset"]["test_samples"] == 128
    assert card["input_shape"] == [28, 28, 1]
    assert card["preprocessing"] == {
        "scale": 1 / 127.5,
        "offset": -1.0,
        "contrast": "none",
        "whitening": False,
    }
    assert card["preprocessing_sha256"] is None
    assert card["latent_weights_accuracy"] is None
    assert card["classes"] == [str(digit) for digit in range(10)]
    assert card["accuracy"]["split"] == "test"
    assert card["accuracy"]["samples"] == len(run.samples) == 128
    assert card["parameters"] == run.model.count_params()
    assert card["model_sha256"] == files.sha256(finished_run / MODEL)
    assert card["samples_sha256"] == files.sha256(finished_run / SAMPLES)
    assert card["command"] is None  # it was trained by a call that named no command


def test_the_card_rebuilds_the_model(finished_run):
    run = zoo.load_run(finished_run)
    options = {**run.card["options"], "input_shape": tuple(run.card["input_shape"])}
    rebuilt = zoo.build(run.card["name"], **options)
    rebuilt.set_weights(run.model.get_weights())
    images = run.preprocessing(run.samples.images[:5])
    np.testing.assert_array_equal(rebuilt(images), run.model(images))


def test_samples_are_the_raw_test_split(finished_run):
    samples = zoo.load_run(finished_run).samples
    test = zoo.load_dataset("mnist_5k").test
    np.testing.assert_array_equal(samples.images, test.images[:128])
    np.testing.assert_array_equal(samples.labels, test.labels[:128])
    with np.load(finished_run / SAMPLES, allow_pickle=False) as arrays:
        assert arrays["images"].dtype == np.uint8
        assert sorted(arrays) == ["images", "labels"]


def test_preprocessing_maps_the_ends_of_the_pixel_range(finished_run):
    pixels = np.array([0, 255], np.uint8)
    # One rounding of 255/127.5 in float32.
    mapped = zoo.load_run(finished_run).preprocessing(pixels)
    np.testing.assert_allclose(mapped, [-1, 1], atol=2**-22)
    assert mapped.dtype == np.float32


def test_evaluate_gives_the_accuracy_of_the_card(finished_run):
    result = zoo.evaluate(zoo.load_run(finished_run))
    assert result.accuracy == result.card_accuracy
    assert result.agrees


def test_latent_weights_are_tested_with_their_own_moments():
    images = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8, 1)
    keras.utils.set_random_seed(7)
    model = zoo.build("binary_connect_mlp", input_shape=(8, 8, 1), units=16, stochastic=True)
    plain = zoo.build("float_mlp", input_shape=(8, 8, 1), units=16)
    plain.set_weights(model.get_weights())  # the latent ones
    preprocessor = MINUS_ONE_TO_ONE.fit(images)
    moments = estimate_moments(plain, [preprocessor(images)])
    # Both networks have their normalisations in the same order, under other names.
    with latent_weights(model):
        own = estimate_moments(model, [preprocessor(images)])
    for ours, theirs in zip(own.values(), moments.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    set_moments(plain, moments)
    answers = np.argmax(plain(preprocessor(images)), axis=-1)
    split = Split(images, answers.astype(np.int64))
    signs = model(preprocessor(images)).numpy()
    assert latent_weights_accuracy(model, split, preprocessor, own) == 1.0
    assert accuracy(model, split, preprocessor) < 1.0
    np.testing.assert_array_equal(model(preprocessor(images)), signs)


@pytest.mark.parametrize("stochastic", [pytest.param(False, marks=pytest.mark.slow), True])
def test_run_with_drawn_weights_has_moments_for_both_forms(tmp_path, stochastic):
    name = "binary_connect_mlp_stochastic_mnist_5k" if stochastic else "binary_connect_mlp_mnist_5k"
    recipe = zoo.resolve_recipe(name, {"layers": "1"}, smoke=True)
    run = zoo.train(recipe, tmp_path / "run")
    assert (run.latent_moments is not None) == stochastic
    assert (run.card["latent_weights_accuracy"] is not None) == stochastic
    again = zoo.evaluate(run)
    assert again.accuracy == run.card["accuracy"]["value"]
    assert again.latent_weights_accuracy == run.card["latent_weights_accuracy"]
    if stochastic:
        inputs = run.preprocessing(zoo.load_dataset("mnist_5k").train.images[: recipe.samples])
        for name, value in estimate_moments(run.model, [inputs]).items():
            layer, _, kind = name.partition("/")
            stored = getattr(run.model.get_layer(layer), f"moving_{kind}").numpy()
            np.testing.assert_allclose(stored, value, rtol=1e-5, atol=1e-6)


def test_accuracy_counts_the_right_answers_over_all_batches(finished_run):
    run = zoo.load_run(finished_run)
    images = run.preprocessing(run.samples.images)
    predicted = np.argmax(run.model.predict(images, verbose=0), axis=-1)
    wrong = run.samples.__class__(run.samples.images, (predicted + 1) % 10)
    right = run.samples.__class__(run.samples.images, predicted)
    assert accuracy(run.model, wrong, run.preprocessing) == 0
    assert accuracy(run.model, right, run.preprocessing) == 1


@pytest.mark.parametrize(("measured", "agrees"), [(0.9, True), (0.896, True), (0.89, False)])
def test_an_evaluation_agrees_within_rounding_flips(measured, agrees):
    assert Evaluation(measured, 1000, 0.9, 1000, None).agrees is agrees


def test_a_missing_folder_gives_one_line(tmp_path):
    with pytest.raises(OnebitError, match=r"absent does not exist; train a run folder"):
        zoo.load_run(tmp_path / "absent")


def test_a_folder_of_something_else_gives_one_line(tmp_path):
    with pytest.raises(OnebitError, match="is not a run folder"):
        zoo.load_run(tmp_path)


def test_an_unfinished_run_says_how_to_resume(run_copy):
    (run_copy / CARD).unlink()
    config = json.loads((run_copy / CONFIG).read_text())
    (run_copy / CONFIG).write_text(json.dumps({**config, "command": "onebit zoo train x -o y"}))
    with pytest.raises(OnebitError, match="not finished; resume with: onebit zoo train x -o y"):
        zoo.load_run(run_copy)
    (run_copy / CONFIG).write_text(json.dumps({**config, "command": None}))
    with pytest.raises(OnebitError, match=r"call zoo\.train again"):
        zoo.load_run(run_copy)


@pytest.mark.parametrize("name", [MODEL, SAMPLES])
def test_a_file_that_is_not_the_cards_is_refused(run_copy, name):
    content = bytearray((run_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run_copy / name).write_bytes(content)
    with pytest.raises(OnebitError, match=f"{name} is not the file that {CARD} describes"):
        zoo.load_run(run_copy)
    (run_copy / name).unlink()
    with pytest.raises(OnebitError, match=f"{name} is missing"):
        zoo.load_run(run_copy)


@pytest.mark.parametrize("content", ['{"schema_version": 99}', "{}"])
def test_a_card_of_another_version_is_refused(run_copy, content):
    (run_copy / CARD).write_text(content)
    with pytest.raises(OnebitError, match=r"has schema version (99|None)"):
        load_card(run_copy)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"accuracy": 0.5}, "card.accuracy is not of type dict"),
        ({"accuracy": {"value": 0.5, "split": "test"}}, "card.accuracy.samples is missing"),
        ({"dataset": None}, "card.dataset is not of type dict"),
        ({"model_sha256": 1}, "card.model_sha256 is not of type str"),
        ({"preprocessing": {"scale": 1.0}}, "card.preprocessing: .*'offset'"),
        ({"preprocessing": {"scale": 1.0, "offset": 0.0, "contrast": "x"}}, "contrast is one of"),
    ],
)
def test_a_card_with_other_entries_is_refused_with_the_fix(run_copy, changes, problem):
    card = json.loads((run_copy / CARD).read_text())
    (run_copy / CARD).write_text(json.dumps(card | changes))
    with pytest.raises(OnebitError, match=f"{CARD} is damaged: .*{problem}.*; train again with"):
        zoo.load_run(run_copy)


def test_evaluate_refuses_a_card_without_entries_in_one_line(run_copy):
    (run_copy / CARD).write_text('{"schema_version": 1}')
    result = CliRunner().invoke(main, ["evaluate", str(run_copy)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {run_copy / CARD} is damaged: card.name is missing; train again with --restart, "
        "or delete the folder\n"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("teacher", True),
        ("start", True),
        ("assistant_1", True),
        ("assistant_12", True),
        ("5", False),
        ("assistant_", False),
        ("my_teacher", False),
    ],
)
def test_stages_are_known_by_their_folders(name, expected):
    assert is_stage(name) is expected


@pytest.mark.parametrize("name", [CARD, HISTORY])
@pytest.mark.parametrize("content", ['{"epoch": 1', "[]", "\xff"])
def test_a_damaged_file_is_refused_with_the_fix(run_copy, name, content):
    (run_copy / name).write_text(content, encoding="latin-1")
    with pytest.raises(OnebitError, match=f"{name}.*; train again with --restart, or delete the"):
        zoo.load_run(run_copy)


def test_a_damaged_configuration_of_an_unfinished_run_is_refused_with_the_fix(run_copy):
    (run_copy / CARD).unlink()
    for content in ("{", "[]"):
        (run_copy / CONFIG).write_text(content)
        with pytest.raises(OnebitError, match=f"{CONFIG} is .*; train again with --restart, or "):
            load_card(run_copy)


@pytest.mark.parametrize("name", [MODEL, SAMPLES])
def test_a_folder_in_a_files_place_is_refused(run_copy, name):
    (run_copy / name).unlink()
    (run_copy / name).mkdir()
    with pytest.raises(OnebitError, match=f"{name} is a folder, not a file of the run; move it"):
        zoo.load_run(run_copy)


@pytest.mark.parametrize("name", [MODEL, SAMPLES])
def test_an_unreadable_file_is_one_line(run_copy, monkeypatch, name):
    opened = open

    def refuse(path, *arguments, **options):
        if str(path) == str(run_copy / name):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(OnebitError) as caught:
        zoo.load_run(run_copy)
    assert str(caught.value) == f"cannot read {run_copy / name}: Permission denied"


def _replace_model(folder, path):
    """Puts another file in place of the model, with its hash on the card."""
    shutil.copy(path, folder / MODEL)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "model_sha256": files.sha256(folder / MODEL)}))


def test_a_model_that_carries_code_is_refused(run_copy, tmp_path):
    layer = keras.layers.Lambda(lambda x: x + 1, input_shape=(1,))
    keras.Sequential([layer]).save(tmp_path / "lambda.keras")
    _replace_model(run_copy, tmp_path / "lambda.keras")
    with pytest.raises(OnebitError, match=r"cannot be loaded: .*[Ll]ambda"):
        zoo.load_run(run_copy)


def test_a_text_file_for_a_model_is_refused(run_copy, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    _replace_model(run_copy, tmp_path / "text.keras")
    with pytest.raises(OnebitError, match=r"model\.keras cannot be loaded"):
        zoo.load_run(run_copy)
