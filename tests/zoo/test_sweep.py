"""`onebit zoo sweep`: a grid of trainings that can be interrupted and gone on with."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import zoo
from onebit.errors import UsageError
from zoo.__main__ import main
from zoo.commands import sweep as sweep_module
from zoo.commands.sweep import plan
from zoo.runs.run import CARD, CONFIG

ROOT = Path(__file__).parent.parent.parent
NAME = "binary_net_mlp_mnist_5k"


def _invoke(*arguments):
    return CliRunner().invoke(main, ["sweep", NAME, *map(str, arguments)])


@pytest.fixture
def trained(monkeypatch, finished_run):
    """The folders in which a stand-in for the process of a training has left a finished run."""
    folders = []

    def train(cell):
        folders.append(cell.folder.name)
        if "units=13" in cell.folder.name:
            return False
        shutil.copytree(finished_run, cell.folder)
        config = json.loads((cell.folder / CONFIG).read_text())
        config["recipe"] |= {"epochs": cell.recipe.epochs, "seed": cell.recipe.seed}
        config["recipe"]["options"] = dict(cell.recipe.options)
        config["options"] |= cell.recipe.options
        (cell.folder / CONFIG).write_text(json.dumps(config))
        return True

    monkeypatch.setattr(sweep_module, "_train", train)
    return folders


def test_every_combination_and_seed_has_a_folder_and_a_command(tmp_path):
    cells = plan(
        NAME, tmp_path, [("lr", "1e-3,0.003"), ("units", "64"), ("lr", "1")], 2, smoke=True
    )
    assert [cell.folder.name for cell in cells] == [
        f"learning_rate={rate}_units=64_seed={seed}"
        for rate in ("0.001", "0.003", "1.0")
        for seed in (1, 2)
    ]
    assert cells[3].command == [
        *("onebit", "zoo", "train", NAME, "-o", str(cells[3].folder)),
        *("--set", "lr=0.003", "--set", "units=64", "--seed", "2", "--smoke"),
    ]
    settings = {"learning_rate": "3e-3", "units": "64"}
    assert cells[3].recipe == zoo.resolve_recipe(NAME, settings, seed=2, smoke=True)


def test_lists_are_repeated_and_seeds_may_be_named(tmp_path):
    settings = [
        *(("schedule", "steps"), ("factors", "0.1,0.01")),
        *(("boundaries", "10,20"), ("boundaries", "15,30"), ("seed", "5,7")),
    ]
    names = [cell.folder.name for cell in plan(NAME, tmp_path, settings, 1)]
    assert names[:2] == [
        f"schedule=steps_factors=0.1-0.01_boundaries=10-20_seed={seed}" for seed in (5, 7)
    ]
    assert len(names) == 4


@pytest.mark.parametrize(
    ("settings", "seeds", "message"),
    [
        ([("lr", "1e-3,0.001")], 1, "a value is there twice"),
        ([("seed", "5,7")], 2, "contradict each other"),
        ([("lr", "1e-3,fast")], 1, "learning_rate must be of type float, not 'fast'"),
        ([("unit", "3")], 1, "did you mean units"),
        ([("lr", "1e-3,0")], 1, "learning_rate must be above 0"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_trained(tmp_path, settings, seeds, message):
    with pytest.raises(UsageError, match=message):
        plan(NAME, tmp_path, settings, seeds)


def test_finished_runs_are_skipped_and_failed_ones_do_not_stop_the_others(trained, tmp_path):
    arguments = ["--set", "units=12,13,14", "--smoke", "-o", tmp_path / "s"]
    result = _invoke(*arguments, "--format", "json")
    assert result.exit_code == 1
    assert trained == [f"units={units}_seed=1" for units in (12, 13, 14)]
    assert [line["changes"] for line in json.loads(result.stdout)] == ["units=12", "units=14"]
    assert result.stderr.splitlines()[-1] == (
        "error: 1 of 3 runs failed, as said above: units=13_seed=1; "
        "the same command tries them again"
    )
    dry = _invoke(*arguments, "--dry-run")
    assert dry.exit_code == 0
    assert dry.stdout.splitlines() == [
        f"onebit zoo train {NAME} -o {tmp_path}/s/units=13_seed=1 --set units=13 --seed 1 --smoke"
    ]
    assert dry.stderr == "1 of 3 runs are left to train\n"
    _invoke(*arguments)
    assert trained[3:] == ["units=13_seed=1"]


def test_damaged_runs_do_not_hide_the_others(trained, tmp_path):
    arguments = ["--set", "units=12,14,16", "--smoke", "-o", tmp_path]
    assert _invoke(*arguments).exit_code == 0
    card = tmp_path / "units=14_seed=1" / CARD
    card.write_text("{")
    result = _invoke(*arguments, "--format", "json")
    assert [line["changes"] for line in json.loads(result.stdout)] == ["units=12", "units=16"]
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {card} is not valid JSON")
    (card.parent / CONFIG).write_text("{")
    dry = _invoke(*arguments, "--dry-run")
    assert (dry.exit_code, dry.stderr) == (0, "1 of 3 runs are left to train\n")


def test_a_run_folder_is_not_a_folder_of_runs(finished_run, trained):
    result = _invoke("-o", finished_run)
    assert result.exit_code == 2
    assert "is a run folder; give the sweep another folder" in result.stderr
    result = _invoke("-o", finished_run / CARD, "--dry-run")
    assert result.exit_code == 2
    assert "card.json is a file; give the sweep a folder" in result.stderr
    assert trained == []


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path):
    folder = tmp_path / "sweep"
    command = [sys.executable, "-m", "onebit", "zoo", "sweep", NAME, "--smoke", "-o", folder]
    command += ["--set", "units=8", "--set", "learning_rate=1e-3,1e38,1e-2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    first, failed, last = (
        folder / f"units=8_learning_rate={rate}_seed=1" for rate in ("0.001", "1e+38", "0.01")
    )
    deadline = time.monotonic() + 200
    while not (first / CARD).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "interrupted"
    assert not (last / CARD).exists()
    before = (first / CARD).stat().st_mtime_ns

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "the loss is no longer a number" in ended.stderr
    assert "1 of 3 runs failed, as said above: units=8_learning_rate=1e+38_seed=1" in ended.stderr
    assert (first / CARD).stat().st_mtime_ns == before
    assert (last / CARD).exists()
    assert not (failed / CARD).exists()
    assert "learning_rate=0.01" in ended.stdout
