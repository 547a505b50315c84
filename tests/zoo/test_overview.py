"""`onebit zoo runs`: run folders side by side."""

import csv
import io
import json
import statistics

import pytest
from click.testing import CliRunner

from zoo.__main__ import main
from zoo.runs.overview import find_trainings, mean_lines
from zoo.runs.run import CARD, CONFIG, HISTORY, TEACHER


@pytest.fixture
def invoke():
    """Returns a function that calls `onebit zoo runs`."""

    def call(*arguments):
        return CliRunner().invoke(main, ["runs", *map(str, arguments)])

    return call


@pytest.fixture
def write_run(tmp_path):
    """Returns a function that writes the small files of a run folder."""

    def write(
        name, *, seed=1, epochs=2, planned=2, accuracy=0.9, rate=0.1, units=64, dataset="digits"
    ):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        recipe = {
            "name": "bnn_digits",
            "seed": seed,
            "epochs": planned,
            "learning_rate": rate,
            "dataset": dataset,
        }
        recipe |= {"options": {"units": units}, "smoke_options": {"units": 8}}
        config = {"recipe": recipe, "options": {"units": units}}
        (folder / CONFIG).write_text(json.dumps(config))
        lines = [{"epoch": n + 1, "accuracy": 0.5 + n / 10} for n in range(epochs)]
        (folder / HISTORY).write_text("".join(json.dumps(line) + "\n" for line in lines))
        if accuracy is not None:
            (folder / CARD).write_text(json.dumps({"accuracy": {"value": accuracy}}))
        return folder

    return write


def test_runs_are_found_with_their_changes_and_teachers_left_out(write_run, tmp_path):
    write_run("a/one", seed=2)
    write_run("a/two", rate=0.2, units=32)
    write_run(f"a/two/{TEACHER}")
    write_run("b", epochs=1, accuracy=None)
    found = find_trainings([tmp_path])
    assert [(run.folder.name, run.label, run.seed) for run in found] == [
        ("b", "bnn_digits learning_rate=0.1 units=64", 1),
        ("one", "bnn_digits learning_rate=0.1 units=64", 2),
        ("two", "bnn_digits learning_rate=0.2 units=32", 1),
    ]
    assert (found[0].epochs, found[0].planned_epochs, found[0].accuracy) == (1, 2, None)
    (teacher,) = find_trainings([tmp_path / "a/two" / TEACHER])
    assert teacher.label == "bnn_digits"


def test_changes_name_settings_of_teachers_and_extensions(write_run, tmp_path):
    for name, epochs in (("one", 3), ("two", 4)):
        folder = write_run(name)
        config = json.loads((folder / CONFIG).read_text())
        config["recipe"]["teacher"] = {"epochs": epochs, "options": {}}
        config["options"]["input_shape"] = [epochs, epochs, 1]
        made = {"after_epoch": 1, "learning_rates": "hold" if name == "two" else None}
        config["extensions"] = [made]
        (folder / CONFIG).write_text(json.dumps(config))
    one, two = find_trainings([tmp_path])
    assert one.changes == {"teacher.epochs": 3}
    assert two.changes == {"teacher.epochs": 4, "extended": "hold@1"}
    assert one.extended_after == two.extended_after == [1]


def test_settings_that_are_newer_than_a_run_have_their_defaults(write_run, tmp_path):
    for seed, settings in enumerate(({}, {"adam_beta_1": 0.9}, {"adam_beta_1": 0.5}), start=1):
        folder = write_run(f"s{seed}", seed=seed, rate=0.1 + (seed == 3))
        config = json.loads((folder / CONFIG).read_text())
        config["recipe"] |= settings
        (folder / CONFIG).write_text(json.dumps(config))
    assert [(line["runs"], line["seeds"]) for line in mean_lines(find_trainings([tmp_path]))] == [
        ("bnn_digits learning_rate=0.1 adam_beta_1=0.9", 2),
        ("bnn_digits learning_rate=1.1 adam_beta_1=0.5", 1),
    ]


def test_trainings_before_another_are_left_out_of_its_folder_only(write_run, tmp_path):
    for name in ("x", "x/start", "x/start/teacher", "x/assistant_1", "teacher", "start/y", "x/5"):
        write_run(name)
    found = sorted(str(run.folder.relative_to(tmp_path)) for run in find_trainings([tmp_path]))
    assert found == ["start/y", "teacher", "x", "x/5"]
    assert {run.folder for run in find_trainings([tmp_path / "x"])} == {
        tmp_path / "x",
        tmp_path / "x/5",
    }
    (start,) = find_trainings([tmp_path / "x/start"])
    assert start.folder == tmp_path / "x/start"


def test_mean_has_the_standard_error_of_its_seeds(write_run, tmp_path):
    accuracies = (0.90, 0.92, 0.97)
    for seed, accuracy in enumerate(accuracies):
        write_run(f"s{seed}", seed=seed, accuracy=accuracy)
    (line,) = mean_lines(find_trainings([tmp_path]))
    assert line["seeds"] == 3
    assert line["accuracy"] == pytest.approx(0.93)
    assert line["standard_error"] == pytest.approx(statistics.stdev(accuracies) / 3**0.5)


def test_mean_over_folds_is_one_line(write_run, tmp_path):
    for fold, accuracy in enumerate((0.90, 0.92, 0.97), start=1):
        write_run(f"f{fold}", accuracy=accuracy, dataset=f"digits_fold_{fold}")
    write_run("unfinished", accuracy=None, seed=2, dataset="digits_fold_4")
    write_run("other", accuracy=0.5, rate=0.2, dataset="digits_fold_1")
    lines = mean_lines(find_trainings([tmp_path]))
    assert [(line["runs"], line["seeds"], line["folds"]) for line in lines] == [
        ("bnn_digits dataset=digits_fold_* learning_rate=0.1", 1, 3),
        ("bnn_digits dataset=digits_fold_* learning_rate=0.2", 1, 1),
    ]
    assert lines[0]["accuracy"] == pytest.approx(0.93)
    assert lines[0]["standard_error"] == pytest.approx(statistics.stdev((0.9, 0.92, 0.97)) / 3**0.5)


def test_table_shows_only_columns_that_runs_fill(invoke, write_run, tmp_path):
    write_run("one")
    result = invoke(tmp_path)
    assert result.exit_code == 0
    assert "2 of 2" in result.stdout
    assert "90.00%" in result.stdout
    assert "latent" not in result.stdout
    assert "Changes" not in result.stdout


def test_history_has_a_line_for_each_epoch(invoke, write_run, tmp_path):
    write_run("one", epochs=2)
    write_run("two", seed=2, epochs=1)
    lines = list(
        csv.DictReader(io.StringIO(invoke(tmp_path, "--history", "--format", "csv").stdout))
    )
    assert [(line["seed"], line["epoch"], line["accuracy"]) for line in lines] == [
        ("1", "1", "0.5"), ("1", "2", "0.6"), ("2", "1", "0.5")
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_curves_are_drawn(invoke, write_run, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    write_run("one")
    write_run("two", seed=2)
    plot, other = tmp_path / f"curves.{suffix}", tmp_path / f"drawing.{suffix}"
    for _ in range(2):
        assert invoke(tmp_path, "--plot", plot).exit_code == 0
    content = plot.read_bytes()
    assert content.startswith(b"\x89PNG") or b"<svg" in content[:400]
    other.write_text("drawn by hand")
    refused = invoke(tmp_path, "--plot", other)
    assert (refused.exit_code, other.read_text()) == (1, "drawn by hand")
    assert "--force" in refused.stderr
    assert invoke(tmp_path, "--plot", other, "--force").exit_code == 0


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
@pytest.mark.parametrize("name", [CARD, CONFIG, HISTORY])
@pytest.mark.parametrize("content", ["{", "5"])
def test_a_damaged_run_is_named_and_the_others_are_listed(
    invoke, write_run, tmp_path, name, content, format_
):
    write_run("good")
    damaged = write_run("bad") / name
    damaged.write_text(content)
    result = invoke(tmp_path, "--format", format_)
    assert result.exit_code == 1
    assert "good" in result.stdout
    assert "/bad" not in result.stdout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {damaged}")
    assert result.stderr.endswith("; train again with --restart, or delete the folder\n")


@pytest.mark.parametrize("options", [(), ("--mean",), ("--history",), ("--plot", "x.svg")])
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (CARD, {"accuracy": 0.5}, "card.accuracy is not of type dict"),
        (CARD, {"accuracy": {"value": "0.5"}}, "card.accuracy.value is not of type float"),
        (CARD, {"latent_weights_accuracy": "0.5"}, "card.latent_weights_accuracy is not of"),
        (CONFIG, {"recipe": {"name": "bnn"}}, "config.recipe.seed is missing"),
        (CONFIG, {"recipe": {"name": "b", "seed": "1"}}, "config.recipe.seed is not of type int"),
        (
            CONFIG,
            {"recipe": {"name": "b", "seed": 1, "epochs": 1}, "extensions": [{}]},
            "config.extensions[0].after_epoch is missing",
        ),
        (HISTORY, {}, "history.epoch is missing"),
        (HISTORY, {"epoch": 1, "accuracy": "x"}, "history.accuracy is not of type float"),
    ],
)
def test_a_file_with_other_entries_is_one_line(
    invoke, write_run, tmp_path, monkeypatch, options, name, content, problem
):
    monkeypatch.chdir(tmp_path)
    (write_run("bad") / name).write_text(json.dumps(content))
    result = invoke(".", *options)
    assert (result.exit_code, result.stdout.strip()) == (1, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: bad/{name} is damaged: {problem}")
    assert not (tmp_path / "x.svg").exists()


def test_epochs_without_an_accuracy_are_not_drawn(invoke, write_run, tmp_path):
    pytest.importorskip("matplotlib")
    (write_run("one") / HISTORY).write_text('{"epoch": 1}\n')
    result = invoke(tmp_path, "--plot", tmp_path / "x.svg")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "no run has an epoch to draw" in result.stderr


@pytest.mark.parametrize("options", [(), ("--mean",), ("--history",), ("--plot", "x.svg")])
def test_damaged_runs_among_no_others_are_one_line_each(
    invoke, write_run, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (write_run(name) / CARD).write_text("{")
    result = invoke(".", *options)
    assert (result.exit_code, result.stdout.strip()) == (1, "")
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["error:", f"{name}/{CARD}"] for name in ("a", "b")
    ]
    assert json.loads(invoke(".", "--format", "json").stdout) == []


def test_configurations_of_other_programs_are_no_runs(invoke, write_run, tmp_path):
    write_run("good")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / CONFIG).write_text('{"architectures": ["Bert"]}')
    result = invoke(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["absent"], 1, "no run folder in absent; train with onebit zoo train"),
        ([".", "--plot", "x.jpg"], 2, "must end in .svg or .png"),
        ([".", "--mean", "--history"], 2, "contradict each other"),
        (["empty", "--plot", "x.svg"], 1, "no run has an epoch to draw"),
        (["damaged"], 1, "is not valid JSON"),
    ],
)
def test_wrong_usage_is_one_line(invoke, write_run, tmp_path, monkeypatch, options, code, words):
    monkeypatch.chdir(tmp_path)
    write_run("empty", epochs=0, accuracy=None)
    (write_run("damaged") / CONFIG).write_text("{")
    result = invoke(*options)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert words in result.stderr
    assert not (tmp_path / "x.svg").exists()
