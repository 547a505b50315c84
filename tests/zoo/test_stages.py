"""Trainings that build on each other, and those that read ImageNet's file format."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras
from zoo.models import models, register_model
from zoo.recipes import Recipe
from zoo.runs.run import CARD, CONFIG
from zoo.training import epochs, loop
from zoo.training.distillation import Distiller
from zoo.training.inputs import read_dataset
from zoo.training.run_folder import is_finished

EARLIER = ("teacher", "assistant_1")


class Crash(BaseException):
    """Stands for the process' end at a chosen line."""


def _stages(**fields):
    """A last training that starts from a first one; both have the same teacher."""
    common = {"dataset": "mnist_5k", "epochs": 1, "samples": 64, "options": {"units": 8}}
    teacher = Recipe("float_mlp", name="teacher", **common)
    first = Recipe(
        "float_mlp",
        name="first",
        teacher=teacher,
        init_from_teacher=False,
        **{**common, "epochs": 2},
    )
    return dataclasses.replace(first, name="last", start=first, epochs=1, **fields)


@pytest.mark.slow
def test_a_training_starts_from_an_earlier_one_and_shares_its_teacher(tmp_path):
    # Adam moves a weight by at most about the learning rate a step; 64 images are one step.
    rate = 1e-6
    run = zoo.train(_stages(learning_rate=rate, final_learning_rate=rate), tmp_path / "run")
    first = zoo.load_run(tmp_path / "run" / "start")
    assert (tmp_path / "run" / "start" / "teacher" / CARD).exists()
    assert not (tmp_path / "run" / "teacher").exists()
    assert set(run.history[0]) >= {"loss", "logits_loss", "hidden_loss"}
    kernels = [model.get_layer("hidden_2").kernel.numpy() for model in (run.model, first.model)]
    assert 0 < np.max(np.abs(kernels[0] - kernels[1])) <= 2 * rate


def test_a_teacher_that_lies_in_the_folder_is_not_trained_again(tmp_path):
    student = dataclasses.replace(_stages().start, epochs=1)
    assert student.teacher is not None
    folder = tmp_path / "run"
    zoo.train(student.teacher, folder / "teacher")
    before = (folder / "teacher" / CARD).read_bytes()
    run = zoo.train(student, folder)
    assert run.card["recipe"] == "first"
    assert (folder / "teacher" / CARD).read_bytes() == before


@pytest.mark.parametrize("name", ["notes.txt", "teacher/notes.txt", "teacher/other/card.json"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(UsageError, match="is not a run folder; give a new or empty one"):
        zoo.train(_stages(), tmp_path / "run")
    assert path.read_text() == "{}"


def test_a_finished_teacher_of_other_data_is_refused(tmp_path, monkeypatch):
    student = dataclasses.replace(_stages().start, epochs=1)
    folder = tmp_path / "run"
    zoo.train(student.teacher, folder / "teacher")

    def other_digits(recipe, data):
        dataset, options = read_dataset(recipe, data)
        return dataclasses.replace(dataset, train=dataset.train[1:]), options

    monkeypatch.setattr(loop, "read_dataset", other_digits)
    message = "teacher was trained on other content of mnist_5k than there is now"
    with pytest.raises(UsageError, match=message) as caught:
        zoo.train(student, folder)
    assert "--restart" in caught.value.hint
    assert not (folder / CARD).exists()


@pytest.mark.parametrize("stage", ["", "start.", "start.teacher."])
def test_an_impossible_selection_is_refused_before_anything_is_removed(tmp_path, stage):
    folder = tmp_path / "run"
    recipe = dataclasses.replace(_stages().teacher, name="other")
    zoo.train(recipe, folder)
    before = (folder / CARD).read_bytes()

    def selecting(recipe, path):
        first, _, rest = path.partition(".")
        if not first:
            return dataclasses.replace(recipe, selection="best")
        return dataclasses.replace(recipe, **{first: selecting(getattr(recipe, first), rest)})

    with pytest.raises(UsageError, match="mnist_5k has no validation split"):
        zoo.train(selecting(_stages(), stage), folder, restart=True)
    assert (folder / CARD).read_bytes() == before
    assert not (folder / "start").exists()


def test_settings_that_a_run_is_older_than_have_their_defaults_in_every_stage(tmp_path):
    stages = _stages()
    recipe = dataclasses.replace(stages, assistants=(stages.teacher,))

    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key != "adam_beta_1"}
        return [without(each) for each in value] if isinstance(value, tuple) else value

    config = {"recipe": without(dataclasses.asdict(recipe)), "options": {}}
    (tmp_path / CARD).write_text("{}")
    (tmp_path / CONFIG).write_text(json.dumps(config))
    assert "adam_beta_1" not in (tmp_path / CONFIG).read_text()
    assert is_finished(tmp_path, recipe)
    other = dataclasses.replace(stages.teacher, adam_beta_1=0.95)
    assert not is_finished(tmp_path, dataclasses.replace(recipe, assistants=(other,)))


@pytest.mark.slow
def test_assistants_are_trained_first_and_teach_in_turn(tmp_path, monkeypatch):
    common = {"dataset": "mnist_5k", "epochs": 1, "samples": 64, "options": {"units": 8}}
    first, second, teacher = (
        Recipe("float_mlp", name=f"earlier_{seed}", seed=seed, **common) for seed in (1, 2, 3)
    )
    recipe = Recipe(
        "float_mlp",
        name="student",
        teacher=teacher,
        assistants=(first, second),
        init_from_teacher=False,
        **{**common, "epochs": 4},
    )
    turns = []
    monkeypatch.setattr(Distiller, "learn_from", lambda self, place: turns.append(place))
    run = zoo.train(recipe, tmp_path / "run")
    assert turns == [0, 0, 1, 1]
    assert "logits_loss" in run.history[-1]
    folders = [tmp_path / "run" / name for name in ("assistant_1", "assistant_2", "teacher")]
    assert [zoo.load_run(folder).card["seed"] for folder in folders] == [1, 2, 3]

    shutil.copytree(tmp_path / "run", tmp_path / "other")
    longer = dataclasses.replace(recipe, epochs=10)
    for folder, way, expected in (
        ("run", "hold", [1] * 6),
        ("other", "stretch", [0, 1, 1, 1, 1, 1]),
    ):
        turns.clear()
        zoo.train(longer, tmp_path / folder, extend=way)
        assert turns == expected


@pytest.mark.slow
def test_bnext_learns_from_a_teacher_and_an_assistant(tmp_path):
    run = zoo.train(zoo.resolve_recipe("bnext_t_imagenet", smoke=True), tmp_path / "run")
    assert {"loss", "logits_loss"} <= set(run.history[-1])
    names = [zoo.load_run(tmp_path / "run" / place).card["name"] for place in EARLIER]
    assert names == ["float_efficientnet_b2", "float_efficientnet_b0"]


def test_a_training_of_no_epochs_keeps_the_weights_of_its_model(tmp_path, monkeypatch):
    def pretrained_dot(
        input_shape: tuple[int, int, int] = (28, 28, 1),
        classes: int = 10,
        *,
        weights: str | None = None,
    ) -> keras.Model:
        """One layer."""
        start = "ones" if weights == "one" else "zeros"
        image = keras.Input(input_shape)
        layer = keras.layers.Dense(classes, kernel_initializer=start, name="logits")
        return keras.Model(image, layer(keras.layers.Flatten()(image)))

    monkeypatch.setattr(models, "_entries", dict(models._entries))
    register_model(family="Float", kind="float")(pretrained_dot)
    with pytest.raises(UsageError, match="epochs must be above 0 without the option weights"):
        Recipe("pretrained_dot", "mnist_5k", epochs=0)
    recipe = Recipe(
        "pretrained_dot", "mnist_5k", name="dot", epochs=0, options={"weights": "one"}, samples=50
    )
    run = zoo.train(recipe, tmp_path / "run")
    assert run.history == []
    np.testing.assert_array_equal(run.model.get_layer("logits").kernel, np.ones([784, 10]))
    assert run.card["accuracy"]["value"] == zoo.evaluate(run).accuracy
    assert zoo.train(recipe, tmp_path / "run").card == run.card
    assert recipe.smoke().epochs == 2


def test_settings_reach_earlier_trainings_and_another_teacher_is_trained_apart():
    recipe = zoo.resolve_recipe("react_resnet18_imagenet", {"start.epochs": "3"}, smoke=True)
    assert (recipe.epochs, recipe.start.epochs, recipe.start.teacher.epochs) == (2, 3, 2)
    assert recipe.teacher == recipe.start.teacher
    assert recipe.options["binary_weights"] is True
    assert recipe.start.options["binary_weights"] is False
    assert {recipe.dataset, recipe.start.dataset, recipe.teacher.dataset} == {"noise_records"}
    recipe = zoo.resolve_recipe("react_resnet18_imagenet", {"teacher.epochs": "1"}, smoke=True)
    assert recipe.teacher != recipe.start.teacher


@pytest.mark.slow
def test_an_imagenet_recipe_trains_on_records_and_resumes(tmp_path, monkeypatch):
    settings = {"epochs": "2", "width": "2"}
    recipe = zoo.resolve_recipe("float_resnet18_imagenet", settings, smoke=True)
    whole = zoo.train(recipe, tmp_path / "whole")
    assert whole.card["dataset"]["name"] == "noise_records"
    assert whole.card["preprocessing"]["scale"] == pytest.approx(
        [1 / 58.395, 1 / 57.12, 1 / 57.375]
    )
    assert zoo.evaluate(whole).agrees

    save, saved = epochs.tf.train.CheckpointManager.save, []

    def save_once(*arguments, **options):
        if saved:
            raise Crash
        saved.append(save(*arguments, **options))

    with monkeypatch.context() as patch:
        patch.setattr(epochs.tf.train.CheckpointManager, "save", save_once)
        with pytest.raises(Crash):
            zoo.train(recipe, tmp_path / "cut")
    resumed = zoo.train(recipe, tmp_path / "cut")
    assert resumed.history == whole.history
    for mine, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["quicknet_imagenet", "bwn_alexnet_imagenet"])
@pytest.mark.slow
def test_other_optimizers_and_families_train_on_records(name, tmp_path):
    run = zoo.train(zoo.resolve_recipe(name, smoke=True), tmp_path / "run")
    assert len(run.history) == 2
    assert all(np.isfinite(line["loss"]) for line in run.history)


@pytest.mark.slow
def test_real_to_binary_networks_teach_each_other(tmp_path):
    name = "real_to_binary_net_fp_imagenet"
    run = zoo.train(zoo.resolve_recipe(name, {"epochs": "1"}, smoke=True), tmp_path / "run")
    assert {"logits_loss", "attention_loss"} <= set(run.history[0])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("blocks", "3", "blocks=3 cannot be thinned by 2"),
        ("teacher.width", "8", r"layer frames has the shape .* give both the same options"),
        ("frequency_weight", "0", "learns from a teacher, with frequency_weight > 0"),
    ],
)
def test_a_student_that_cannot_be_taught_is_refused_before_its_teacher_trains(
    tmp_path, setting, value, message
):
    recipe = zoo.resolve_recipe(
        "bifsmn_spoken_keywords_synthetic_log_mel", {setting: value}, smoke=True
    )
    with pytest.raises(OnebitError, match=message):
        zoo.train(recipe, tmp_path / "run", data=tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "binary_bert_tiny_debian_sections",
            r"frames and channels \[N, T, 1, C\], and embedding_hidden_state of \w+ has the shape",
        ),
        (
            "binary_net_cnn_distilled_fashion_mnist",
            r"the layers whose names end in hidden_state, and \w+ has none; give --set frequency_w",
        ),
    ],
)
def test_high_frequencies_need_bifsmns_hidden_states_before_a_teacher_trains(
    tmp_path, name, message
):
    recipe = zoo.resolve_recipe(name, {"frequency_weight": "0.01"}, smoke=True)
    with pytest.raises(UsageError, match=message):
        zoo.train(recipe, tmp_path / "run", data=tmp_path)
    assert not (tmp_path / "run").exists()
