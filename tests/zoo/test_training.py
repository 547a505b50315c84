"""Training, and above all: an interrupted training ends exactly as an uninterrupted one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras, tf
from zoo.__main__ import main
from zoo.runs.run import (
    CARD,
    CHECKPOINTS,
    CONFIG,
    HISTORY,
    LOGS,
    MODEL,
    SAMPLES,
    TOKENIZER,
    read_history,
)
from zoo.training import checkpoints, epochs, loop

# Every source of randomness at once: initial weights, order, dropout, stochastic signs.
RECIPE = "binary_connect_mlp_stochastic_mnist_5k"
# One hidden layer, because tracing takes most of so short a training.
SETTINGS = {"dropout": "0.3", "layers": "1", "epochs": "4"}

SMOKE = ("train", "binary_net_mlp_mnist_5k", "--smoke")
"""The command that trained `finished_run`."""


def _recipe(**settings):
    return zoo.resolve_recipe(RECIPE, {**SETTINGS, **settings}, smoke=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return zoo.train(_recipe(), tmp_path_factory.mktemp("runs") / "uninterrupted")


def _assert_same(run, other):
    assert run.history == other.history
    for mine, theirs in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert run.card["accuracy"] == other.card["accuracy"]


def test_history_has_a_line_per_epoch_with_finite_figures(uninterrupted):
    assert [line["epoch"] for line in uninterrupted.history] == [1, 2, 3, 4]
    for line in uninterrupted.history:
        assert all(np.isfinite(value) for value in line.values())
    rates = [line["learning_rate"] for line in uninterrupted.history]
    recipe = _recipe()
    # 16 steps: the last takes 15/16 of the way on the logarithmic scale; float32 holds 7 digits.
    ratio = recipe.final_learning_rate / recipe.learning_rate
    assert rates[-1] == pytest.approx(recipe.learning_rate * ratio ** (15 / 16), rel=1e-5)
    assert rates == sorted(set(rates), reverse=True)


def test_the_step_is_traced_once(tmp_path, monkeypatch):
    # A training that makes variables in its first step traces it twice, which takes seconds.
    original, traces = epochs.make_loss, []

    def make_loss(*args):
        loss = original(*args)
        return lambda labels, answers: traces.append(answers) or loss(labels, answers)

    monkeypatch.setattr(epochs, "make_loss", make_loss)
    zoo.train(zoo.resolve_recipe("float_mlp_mnist_5k", {"layers": "1"}, smoke=True), tmp_path)
    assert len(traces) == 1


def test_images_of_other_channels_are_refused(tmp_path):
    recipe = zoo.resolve_recipe("bi_real_net18_imagenet", {"dataset": "mnist_5k"}, smoke=True)
    with pytest.raises(UsageError, match="images of 3 channels, and mnist_5k has images of 1"):
        zoo.train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_same_recipe_trains_to_the_same_weights(uninterrupted, tmp_path):
    _assert_same(zoo.train(_recipe(), tmp_path / "again"), uninterrupted)


@pytest.mark.slow
def test_another_seed_trains_to_other_weights(uninterrupted, tmp_path):
    other = zoo.train(_recipe(seed="2"), tmp_path / "other")
    assert other.history != uninterrupted.history


def _command(folder, epochs=SETTINGS["epochs"]):
    command = [sys.executable, "-m", "zoo", "train", RECIPE, "-o", str(folder), "--smoke"]
    for key, value in {**SETTINGS, "epochs": epochs}.items():
        command += ["--set", f"{key}={value}"]
    return command


def _wait_for_epoch(process, folder, epoch):
    """Returns when the history holds that epoch; fails when the process ends before."""
    deadline = time.monotonic() + 120
    while len(read_history(folder)) < epoch:
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_end(tmp_path):
    # Long enough that the kill comes well before the end.
    folder, epochs = tmp_path / "killed", 15
    process = subprocess.Popen(_command(folder, epochs), stderr=subprocess.PIPE, text=True)
    _wait_for_epoch(process, folder, 3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / CARD).exists()
    assert 3 <= len(read_history(folder)) < epochs
    with pytest.raises(OnebitError, match=r"has not finished; resume with: onebit zoo train"):
        zoo.load_run(folder)

    resumed = subprocess.run(_command(folder, epochs), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch" in resumed.stderr
    whole = zoo.train(_recipe(epochs=str(epochs)), tmp_path / "whole")
    _assert_same(zoo.load_run(folder), whole)


def test_ctrl_c_says_how_to_resume_and_exits_with_130(tmp_path):
    folder = tmp_path / "run with space"
    command = _command(folder, epochs=10_000)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_for_epoch(process, folder, 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    line = err.splitlines()[-1]
    assert line.startswith("interrupted; resume with: onebit zoo train ")
    assert f"-o '{folder}'" in line
    assert line.endswith("--set dropout=0.3 --set layers=1 --set epochs=10000 --smoke")
    assert "Traceback" not in err


class Crash(BaseException):
    """Stands for the process' end at a chosen line."""


@pytest.mark.parametrize(
    "moment",
    [
        "checkpoint",
        *(
            pytest.param(moment, marks=pytest.mark.slow)
            for moment in ("step", "history", "model", "samples", "card")
        ),
    ],
)
def test_a_crash_at_any_moment_resumes_to_the_same_end(
    moment, uninterrupted, tmp_path, monkeypatch
):
    folder = tmp_path / "crashed"

    def crash_at(target, name, call):
        """Crashes instead of the call of that number."""
        original, calls = getattr(target, name), iter(range(1, 1000))

        def crashing(*args, **kwargs):
            if next(calls) == call:
                raise Crash
            return original(*args, **kwargs)

        monkeypatch.setattr(target, name, crashing)

    with monkeypatch.context():
        if moment == "step":
            crash_at(epochs.Progress, "step", 10)  # 4 steps an epoch: within the third
        elif moment == "history":
            crash_at(epochs, "write_history", 2)
        elif moment == "checkpoint":
            crash_at(epochs.tf.train.CheckpointManager, "save", 2)
        elif moment == "model":
            crash_at(checkpoints.files, "replacing", 6)  # configuration, four epochs, model
        elif moment == "samples":
            crash_at(checkpoints, "_write_samples", 1)
        else:
            crash_at(checkpoints.provenance, "utc_now", 2)  # configuration, card
        with pytest.raises(Crash):
            zoo.train(_recipe(), folder)
    monkeypatch.undo()
    assert not (folder / CARD).exists()
    _assert_same(zoo.train(_recipe(), folder), uninterrupted)


def test_a_finished_run_is_returned_without_training(finished_run, monkeypatch):
    monkeypatch.setattr(loop, "read_dataset", lambda *_: pytest.fail("loaded data"))
    before = (finished_run / MODEL).stat().st_mtime_ns
    run = zoo.train(zoo.resolve_recipe("binary_net_mlp_mnist_5k", smoke=True), finished_run)
    assert run.card["recipe"] == "binary_net_mlp_mnist_5k"
    assert (finished_run / MODEL).stat().st_mtime_ns == before


def test_another_recipe_is_refused_and_restart_replaces_it(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / "notes.txt").write_text("mine")
    recipe = zoo.resolve_recipe("binary_net_mlp_mnist_5k", {"epochs": "1"}, smoke=True)
    with pytest.raises(UsageError, match="holds a run with epochs 2, not 1; give another folder"):
        zoo.train(recipe, folder)
    impossible = zoo.resolve_recipe("binary_net_mlp_mnist_5k", {"units": "0"}, smoke=True)
    with pytest.raises(OnebitError, match=r"cannot be built .* hidden_1 has weights of shape"):
        zoo.train(impossible, folder, restart=True)
    assert (folder / CARD).exists()
    run = zoo.train(recipe, folder, restart=True)
    assert len(run.history) == 1
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("thesis.txt", "years of work"),
        (CONFIG, '{"architectures": ["Bert"]}'),
        (CONFIG, "{ // of an editor\n}"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (tmp_path / TOKENIZER).write_text("of another model")
    for restart in (False, True):
        with pytest.raises(UsageError, match="exists and is not a run folder"):
            zoo.train(_recipe(), tmp_path, restart=restart)
    assert sorted(os.listdir(tmp_path)) == sorted([name, TOKENIZER])
    assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize(
    "name",
    [
        CONFIG,
        f"{CHECKPOINTS}/checkpoint",
        *(pytest.param(name, marks=pytest.mark.slow) for name in (CARD, HISTORY)),
    ],
)
def test_restart_repairs_a_run_with_a_damaged_file(finished_run, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / "notes.txt").write_text("mine")
    (folder / name).write_bytes(b'{"recipe": \xff')
    run = CliRunner().invoke(main, [*SMOKE, "-o", str(folder), "--restart"])
    assert run.exit_code == 0, run.output
    assert json.loads((folder / CONFIG).read_text())["recipe"]["seed"] == 1
    assert len(zoo.load_run(folder).history) == 2
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [CONFIG, CARD])
def test_a_run_with_a_damaged_file_names_the_fix(finished_run, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / name).write_text("{")
    run = CliRunner().invoke(main, [*SMOKE, "-o", str(folder)])
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith(f"error: {folder / name} is not valid JSON: ")
    assert run.stderr.endswith("; train again with --restart, or delete the folder\n")


def test_restart_removes_nothing_where_a_folder_has_a_files_name(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / SAMPLES).unlink()
    (folder / SAMPLES).mkdir()
    before = sorted(folder.rglob("*"))
    with pytest.raises(OnebitError, match=f"{SAMPLES} is a folder, not a file of the run; move"):
        zoo.train(zoo.resolve_recipe(SMOKE[1], smoke=True), folder, restart=True)
    assert sorted(folder.rglob("*")) == before


def test_what_a_kill_left_half_written_is_swept_away(tmp_path):
    folder = tmp_path / "run"
    for name in (CONFIG, MODEL):
        (folder / f".{name}.x1y2").mkdir(parents=True)
        (folder / f".{name}.x1y2" / name).write_text("half")
    zoo.train(zoo.resolve_recipe("float_mlp_mnist_5k", smoke=True), folder)
    assert not list(folder.glob(".*"))


def test_an_unwritable_output_fails_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "read_dataset", lambda *_: pytest.fail("began"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OnebitError, match=r"cannot write .*file/run: .*is a file"):
        zoo.train(_recipe(), tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("files", "content"),
    [
        ("*.index", b"damaged \xff"),
        ("checkpoint", b"damaged \xff"),
        ("checkpoint", b"damaged"),
        ("checkpoint", bytes(80)),
        pytest.param("checkpoint", b"", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_checkpoint_gives_one_line(finished_run, tmp_path, files, content):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / CARD).unlink()
    for path in (folder / CHECKPOINTS).glob(files):
        path.write_bytes(content)
    with pytest.raises(OnebitError, match="is damaged or of another Onebit") as caught:
        zoo.train(zoo.resolve_recipe("binary_net_mlp_mnist_5k", smoke=True), folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (0, "has 0 epochs, and the newest checkpoint is of epoch 2"),
        (4, "has 4 epochs, and the newest checkpoint is of epoch 2"),
    ],
)
def test_a_history_of_other_epochs_than_the_checkpoint_is_refused(
    finished_run, tmp_path, lines, message
):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / CARD).unlink()
    history = (folder / HISTORY).read_text().splitlines(keepends=True)
    (folder / HISTORY).write_text("".join(2 * history)[: len("".join(history)) * lines // 2])
    with pytest.raises(OnebitError, match=message):
        zoo.train(zoo.resolve_recipe("binary_net_mlp_mnist_5k", smoke=True), folder)


def test_a_run_without_its_checkpoints_does_not_begin_again(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / CARD).unlink()
    shutil.rmtree(folder / CHECKPOINTS)
    with pytest.raises(OnebitError, match="has 2 epochs, and the newest checkpoint is of epoch 0"):
        zoo.train(zoo.resolve_recipe("binary_net_mlp_mnist_5k", smoke=True), folder)


@pytest.mark.parametrize("name", ["b[1]", "b*", "b?"])
def test_a_path_in_which_checkpoints_are_not_found_again_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="would not find a checkpoint in a path with"):
        zoo.train(_recipe(), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_loss_that_is_no_number_stops_and_leaves_null(tmp_path):
    folder = tmp_path / "run"
    recipe = zoo.resolve_recipe("float_mlp_mnist_5k", {"learning_rate": "1e38"}, smoke=True)
    with pytest.raises(OnebitError, match="the loss is no longer a number in epoch 1"):
        zoo.train(recipe, folder)
    assert json.loads((folder / HISTORY).read_text())["loss"] is None
    assert not (folder / CARD).exists()


def test_more_memory_than_there_is_gives_one_line(tmp_path, monkeypatch):
    def fit(*args, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(keras.Model, "fit", fit)
    with pytest.raises(OnebitError, match=r"needs more memory .* OOM .*; give a smaller") as caught:
        zoo.train(_recipe(), tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_the_run_folder_holds_what_it_promises(finished_run):
    names = {CONFIG, HISTORY, CHECKPOINTS, LOGS, MODEL, SAMPLES, CARD}
    assert {path.name for path in finished_run.iterdir()} == names
    assert any((finished_run / LOGS).iterdir())
    config = json.loads((finished_run / CONFIG).read_text())
    assert config["recipe"]["seed"] == 1
    assert config["options"]["units"] == 32
    assert config["options"]["layers"] == 3
    assert {"onebit", "python", "tensorflow", "larq"} <= set(config["versions"])


def test_validation_is_measured_each_epoch_where_there_is_a_split(tmp_path, write_idx):
    generator = np.random.default_rng(4)
    for prefix, count in (("train", 48), ("t10k", 8)):
        images = generator.integers(256, size=(count, 6, 6))
        write_idx(tmp_path / "mnist" / f"{prefix}-images-idx3-ubyte", images)
        write_idx(tmp_path / "mnist" / f"{prefix}-labels-idx1-ubyte", np.arange(count) % 10)
    recipe = zoo.resolve_recipe("float_mlp_mnist", smoke=True)
    run = zoo.train(recipe, tmp_path / "run", data=tmp_path)
    assert all(0 <= line["val_accuracy"] <= 1 for line in run.history)
    assert run.card["dataset"]["train_samples"] == 40
    assert run.card["input_shape"] == [6, 6, 1]
