"""The epoch that a training ends with, and what goes with the authors' recipe of BinaryConnect."""

import numpy as np
import pytest

import zoo
from onebit.errors import UsageError
from zoo.runs.overview import draw_curves, find_trainings, summary_lines
from zoo.training import epochs

# A constant rate, with which a training of fewer epochs is the beginning of a longer one.
SETTINGS = {"dataset": "mnist", "lr": "2", "final_learning_rate": "2", "epochs": "4"}
SETTINGS |= {"layers": "1", "validate_every": "1"}
DETERMINISTIC = "binary_connect_mlp_paper_fashion_mnist"
STOCHASTIC = "binary_connect_mlp_stochastic_paper_fashion_mnist"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """MNIST's files with images of 6×6: a sixth are noise for validation, so any epoch may win."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(4)
    patterns = generator.integers(256, size=(10, 6, 6))
    (folder / "mnist").mkdir()
    for prefix, count in (("train", 240), ("t10k", 40)):
        labels = np.arange(count) % 10
        noise = generator.integers(256, size=(count, 6, 6))
        images = np.where(np.arange(count)[:, None, None] < 200, patterns[labels], noise)
        arrays = {"images-idx3": images, "labels-idx1": labels}
        for kind, array in arrays.items():
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            path = folder / "mnist" / f"{prefix}-{kind}-ubyte"
            path.write_bytes(header + array.astype(np.uint8).tobytes())
    return folder


def recipe(name=DETERMINISTIC, **settings):
    return zoo.resolve_recipe(name, {**SETTINGS, **settings}, smoke=True)


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    return zoo.train(recipe(), tmp_path_factory.mktemp("runs") / "whole", data=digits)


def later_best(history, key):
    values = [line[key] for line in history]
    return len(values) - values[::-1].index(max(values))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (DETERMINISTIC, "val_accuracy"),
        pytest.param(STOCHASTIC, "val_latent_weights_accuracy", marks=pytest.mark.slow),
    ],
)
def test_the_result_is_the_best_epochs_model(name, key, whole, digits, tmp_path):
    run = whole
    if name == STOCHASTIC:
        run = zoo.train(recipe(name, seed="3"), tmp_path / "run", data=digits)
    best = later_best(run.history, key)
    assert run.card["epoch"] == best < 4  # else this shows nothing
    shorter = zoo.train(
        recipe(name, epochs=str(best), selection="last", seed=str(run.card["seed"])),
        tmp_path / "shorter",
        data=digits,
    )
    for mine, theirs in zip(run.model.get_weights(), shorter.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for accuracy in ("accuracy", "latent_weights_accuracy"):
        assert run.card[accuracy] == shorter.card[accuracy]


def test_a_crash_keeps_the_best_epoch(whole, digits, tmp_path, monkeypatch):
    class Crash(BaseException):
        pass

    save, calls = epochs.tf.train.CheckpointManager.save, iter(range(1, 100))

    def crashing(*args, **kwargs):
        if next(calls) == whole.card["epoch"] + 1:
            raise Crash
        return save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(epochs.tf.train.CheckpointManager, "save", crashing)
        with pytest.raises(Crash):
            zoo.train(recipe(), tmp_path / "crashed", data=digits)
    resumed = zoo.train(recipe(), tmp_path / "crashed", data=digits)
    assert resumed.card["epoch"] == whole.card["epoch"]
    assert resumed.history == whole.history
    for mine, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [(DETERMINISTIC, 3, 2), pytest.param(STOCHASTIC, 3, 5, marks=pytest.mark.slow)],
)
def test_an_extended_training_forgets_the_validation_of_its_former_end(
    name, first, last, digits, tmp_path
):
    def trained(folder, epochs):
        made = recipe(name, epochs=epochs, validate_every="2", seed="4")
        return zoo.train(made, tmp_path / folder, data=digits)

    shorter = trained("run", "3")
    assert shorter.card["epoch"] == first
    assert ["val_accuracy" in line for line in shorter.history] == [False, True, True]
    longer, whole = trained("run", "5"), trained("whole", "5")
    assert longer.history == whole.history
    assert longer.card["epoch"] == whole.card["epoch"] == last
    for mine, theirs in zip(longer.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_moments_are_estimated_where_a_recipe_asks_for_it(digits, tmp_path):
    estimated, averaged = (
        zoo.train(
            recipe(selection="last", epochs="1", estimate_moments=estimate),
            tmp_path / estimate,
            data=digits,
        )
        for estimate in ("true", "false")
    )
    pairs = [
        (mine.numpy(), theirs.numpy())
        for mine, theirs in zip(estimated.model.weights, averaged.model.weights, strict=True)
    ]
    moving = ["moving" in weight.name for weight in estimated.model.weights]
    # Training is the same; only what normalises the test differs.
    assert [not np.array_equal(*pair) for pair in pairs] == moving
    assert estimated.history[-1]["loss"] == averaged.history[-1]["loss"]
    assert estimated.history[-1]["val_loss"] != averaged.history[-1]["val_loss"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("float_mlp_mnist_5k", {"selection": "best"}, "mnist_5k has no validation split"),
        (
            DETERMINISTIC,
            {"dataset": "mnist", "selection": "best_latent"},
            "binary_connect_mlp is not trained with drawn weights",
        ),
    ],
)
def test_an_impossible_selection_is_one_line(name, settings, message, digits, tmp_path):
    with pytest.raises(UsageError, match=message):
        zoo.train(zoo.resolve_recipe(name, settings, smoke=True), tmp_path / "run", data=digits)
    assert not (tmp_path / "run").exists()


def test_more_train_samples_than_there_are_is_refused(digits, tmp_path):
    with pytest.raises(UsageError, match="has 200 samples to train on, not 201; set"):
        zoo.train(recipe(train_samples="201", epochs="1"), tmp_path / "run", data=digits)
    assert not (tmp_path / "run").exists()


def test_train_samples_leave_the_other_splits_whole(digits, tmp_path):
    run = zoo.train(
        recipe(train_samples="50", samples="none", epochs="1"), tmp_path / "run", data=digits
    )
    assert run.card["dataset"]["train_samples"] == 50
    assert run.card["dataset"]["test_samples"] == 40


def test_validation_is_measured_every_few_epochs_and_after_the_last(digits, tmp_path):
    run = zoo.train(recipe(validate_every="2", epochs="3"), tmp_path / "run", data=digits)
    assert ["val_accuracy" in line for line in run.history] == [False, True, True]
    assert run.card["epoch"] in (2, 3)
    (training,) = find_trainings([tmp_path])
    assert summary_lines([training])[0]["val_accuracy"] == run.history[-1]["val_accuracy"]
    draw_curves([training], tmp_path / "curves.svg")
    assert "validation, 1 seed" in (tmp_path / "curves.svg").read_text()
