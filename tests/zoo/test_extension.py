"""Training goes on to more epochs, and the run says so."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from onebit.errors import OnebitError, UsageError
from zoo.__main__ import main
from zoo.recipes import Recipe
from zoo.runs.overview import find_trainings
from zoo.runs.run import CARD, CHECKPOINTS, CONFIG, HISTORY
from zoo.training.extension import extension, schedule_epochs
from zoo.training.inputs import limited
from zoo.training.run_folder import open_run_folder

NAME = "binary_net_mlp_mnist_5k"


def _recipe(**settings):
    return zoo.resolve_recipe(NAME, {key: str(v) for key, v in settings.items()}, smoke=True)


@pytest.fixture
def run_of_two_epochs(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    return folder


def _config(epochs, *made):
    return {"recipe": {"epochs": epochs}, "extensions": list(made)}


def test_added_epochs_keep_the_last_rate_and_are_recorded(run_of_two_epochs):
    before = zoo.load_run(run_of_two_epochs)
    run = zoo.train(_recipe(epochs=3), run_of_two_epochs, extend="hold")
    assert run.history[:2] == before.history
    assert run.history[2]["learning_rate"] == pytest.approx(3e-5)
    (made,) = run.card["extensions"]
    assert (made["after_epoch"], made["epochs"], made["learning_rates"]) == (2, 3, "hold")
    assert made["accuracy_before"] == before.card["accuracy"]["value"]
    config = json.loads((run_of_two_epochs / CONFIG).read_text())
    assert config["extensions"] == [made]
    assert config["recipe"]["epochs"] == 3
    (listed,) = find_trainings([run_of_two_epochs])
    assert (listed.epochs, listed.planned_epochs, listed.extended_after) == (3, 3, [2])
    # The same command again finds it finished.
    assert zoo.train(_recipe(epochs=3), run_of_two_epochs, extend="hold").card == run.card


@pytest.mark.slow
def test_with_a_constant_rate_it_is_a_training_as_long_from_the_beginning(tmp_path):
    settings = {"dropout": 0.3, "layers": 1, "learning_rate": 3e-3, "final_learning_rate": 3e-3}
    zoo.train(_recipe(**settings), tmp_path / "run")
    longer = zoo.train(_recipe(**settings, epochs=4), tmp_path / "run")
    whole = zoo.train(_recipe(**settings, epochs=4), tmp_path / "whole")
    assert longer.history == whole.history
    for mine, theirs in zip(longer.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    (made,) = longer.card["extensions"]
    assert (made["after_epoch"], made["learning_rates"]) == (2, None)
    # One training, so the seeds of both are averaged together.
    assert {run.label for run in find_trainings([tmp_path])} == {NAME}


@pytest.mark.slow
def test_stretched_rates_are_those_of_the_longer_decay(run_of_two_epochs):
    run = zoo.train(_recipe(epochs=4), run_of_two_epochs, extend="stretch")
    # 4 steps an epoch: the last step of epoch 3 is the 12th of 16, 11/16 of the way from 3e-3.
    assert run.history[2]["learning_rate"] == pytest.approx(3e-3 * 0.01 ** (11 / 16))
    again = zoo.train(_recipe(epochs=5), run_of_two_epochs, extend="hold")
    assert again.history[4]["learning_rate"] == pytest.approx(3e-5)
    assert [made["after_epoch"] for made in again.card["extensions"]] == [2, 4]


def test_an_extension_decides_over_how_many_epochs_the_rate_falls(tmp_path):
    def made(config, epochs, way, **settings):
        recipe = _recipe(epochs=epochs, **settings)
        return extension(tmp_path, config, recipe, done=2, way=way, accuracy=None)

    held = made(_config(2), 6, "hold")
    stretched = made(_config(6, held), 8, "stretch")
    assert schedule_epochs(_config(2)) == 2
    assert schedule_epochs(_config(6, held)) == 2
    assert schedule_epochs(_config(9, made(_config(6, held), 9, "hold"))) == 2
    assert schedule_epochs(_config(8, held, stretched)) == 8
    steps = {"schedule": "steps", "boundaries": "1", "factors": "0.1"}
    assert made(_config(2), 6, None, **steps)["learning_rates"] is None


def _with_assistants(count, **fields):
    networks = {"model": "float_mlp", "dataset": "mnist_5k", "epochs": 1}
    fields = {"learning_rate": 1e-3, "final_learning_rate": 1e-3, **fields}
    return Recipe(
        **{**networks, "epochs": 8},
        name="student",
        teacher=Recipe(**networks),
        assistants=(Recipe(**networks),) * count,
        **fields,
    )


def test_assistants_share_all_epochs_and_so_need_a_way_too(tmp_path):
    def made(recipe, way):
        return extension(tmp_path, _config(4), recipe, done=4, way=way, accuracy=None)

    assert made(_with_assistants(1), None)["learning_rates"] is None
    recipe = _with_assistants(2)
    with pytest.raises(UsageError, match=r"4 epochs, not 8, whose assistants have equal shares of"):
        made(recipe, None)
    assert (made(recipe, "stretch")["schedule_epochs"], recipe.assistant(5)) == (8, 1)
    # With steps, nothing looks at the rate where a decay would end.
    steps = {"schedule": "steps", "boundaries": (1,), "factors": (0.1,), "final_learning_rate": 0}
    held = made(_with_assistants(2, **steps), "hold")
    assert (held["learning_rates"], held["schedule_epochs"]) == ("hold", 4)
    shares = dataclasses.replace(recipe, epochs=4)
    assert [shares.assistant(epoch) for epoch in (2, 3, 4, 5, 8)] == [0, 1, 1, 1, 1]


def test_without_a_way_to_go_on_nothing_changes(run_of_two_epochs):
    files = {path: path.read_bytes() for path in run_of_two_epochs.iterdir() if path.is_file()}
    arguments = ["train", NAME, "--smoke", "-o", str(run_of_two_epochs), "--set", "epochs=5"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert (
        f"error: {run_of_two_epochs} holds a run of 2 epochs, not 5, whose learning rate falls to "
        "3e-05 within 2; give --extend hold to go on at that rate, --extend stretch to go on with "
        "the rates of 5 epochs, or --restart to train again\n"
    ) == result.stderr
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.parametrize(
    ("settings", "way", "message"),
    [
        ({"epochs": 1}, "hold", "holds a run with epochs 2, not 1"),
        ({"epochs": 3, "units": 16}, "hold", "holds a run with units 32, not 16"),
        ({"epochs": 3, "final_learning_rate": 0.1}, "hold", "final_learning_rate 3e-05, not 0.1"),
    ],
)
def test_another_training_is_not_an_extension(run_of_two_epochs, settings, way, message):
    with pytest.raises(UsageError, match=message):
        zoo.train(_recipe(**settings), run_of_two_epochs, extend=way)
    assert (run_of_two_epochs / CARD).exists()


def test_a_rate_of_0_is_not_held(tmp_path):
    recipe = _recipe(epochs=3, schedule="linear", final_learning_rate=0)
    with pytest.raises(UsageError, match=r"would train at the learning rate 0.* --extend stretch"):
        extension(tmp_path, _config(2), recipe, done=2, way="hold", accuracy=0.5)


def test_a_run_without_its_checkpoint_does_not_begin_again(run_of_two_epochs):
    shutil.rmtree(run_of_two_epochs / CHECKPOINTS)
    with pytest.raises(OnebitError, match="has no checkpoint left to go on from"):
        zoo.train(_recipe(epochs=3), run_of_two_epochs, extend="hold")
    assert zoo.load_run(run_of_two_epochs).history


def test_a_run_without_an_epoch_simply_has_more(run_of_two_epochs):
    for path in (CARD, HISTORY):
        (run_of_two_epochs / path).unlink()
    _opened(run_of_two_epochs, None, 5, done=0)
    config = json.loads((run_of_two_epochs / CONFIG).read_text())
    assert (config["recipe"]["epochs"], config["extensions"]) == (5, [])
    assert schedule_epochs(config) == 5


@pytest.mark.parametrize("content", ["[]", '{"recipe": null, "options": {}}', '{"recipe": {}}'])
def test_a_damaged_configuration_is_one_line(tmp_path, content):
    (tmp_path / CONFIG).write_text(content)
    with pytest.raises(UsageError, match=r"config\.json is damaged; give another"):
        zoo.train(_recipe(epochs=3), tmp_path)
    assert (tmp_path / CONFIG).read_text() == content


def _opened(folder, extend, epochs, done=2):
    """Opens a run folder for that many epochs, as a training does."""
    config = json.loads((folder / CONFIG).read_text())
    dataset = limited(zoo.load_dataset("mnist_5k"), 128)
    options = {"command": "x", "restart": False, "done": done, "extend": extend}
    return open_run_folder(folder, _recipe(epochs=epochs), config["options"], dataset, **options)


def test_an_unfinished_run_does_not_go_on_in_another_way(run_of_two_epochs):
    assert not _opened(run_of_two_epochs, "hold", 4)
    before = (run_of_two_epochs / CONFIG).read_bytes()
    with pytest.raises(UsageError, match="extended to 4 epochs with --extend hold, not stretch"):
        _opened(run_of_two_epochs, "stretch", 4)
    # The same command goes on, and so does one without the option.
    for extend in ("hold", None):
        _opened(run_of_two_epochs, extend, 4)
    assert (run_of_two_epochs / CONFIG).read_bytes() == before


@pytest.mark.parametrize(
    ("epochs", "done", "message"),
    [
        (2, 1, "a run of 2 epochs, which is not extended; leave out --extend hold to go on"),
        (5, 0, "holds no epoch to go on from; leave out --extend hold to train all 5 epochs"),
    ],
)
def test_an_unfinished_run_with_nothing_to_extend_is_not_extended(
    run_of_two_epochs, epochs, done, message
):
    (run_of_two_epochs / CARD).unlink()
    before = (run_of_two_epochs / CONFIG).read_bytes()
    with pytest.raises(UsageError, match=message):
        _opened(run_of_two_epochs, "hold", epochs, done)
    assert (run_of_two_epochs / CONFIG).read_bytes() == before


def test_a_way_that_was_not_needed_is_taken_with_the_same_command(run_of_two_epochs):
    path = run_of_two_epochs / CONFIG
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"extensions": [{"learning_rates": None}]}))
    assert not _opened(run_of_two_epochs, "hold", 2)


def test_extend_needs_a_run(tmp_path):
    with pytest.raises(UsageError, match="holds no run to extend"):
        zoo.train(_recipe(epochs=3), tmp_path / "absent", extend="hold")
    arguments = ["train", NAME, "-o", str(tmp_path / "x"), "--extend", "hold", "--restart"]
    assert "contradict each other" in CliRunner().invoke(main, arguments).stderr
    assert not any(tmp_path.iterdir())
