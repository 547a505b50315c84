import csv
import io
import json
import shutil
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

import zoo
from zoo.__main__ import main
from zoo.datasets import datasets
from zoo.recipes import recipes
from zoo.runs.run import CARD


def _run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_help_is_quick_and_lists_the_commands():
    begin = time.monotonic()
    command = [sys.executable, "-m", "zoo", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - begin < 2  # TensorFlow alone takes longer
    assert all(command in done.stdout for command in ("list", "show", "train", "evaluate"))


@pytest.mark.parametrize("command", ["list", "show", "train", "evaluate"])
def test_help_of_each_command_has_an_example(command):
    assert f"onebit zoo {command}" in _run(command, "--help").stdout


def test_list_names_every_model_data_set_and_recipe():
    table = _run("list").stdout
    records = json.loads(_run("list", "--format", "json").stdout)
    names = {record["name"] for record in records}
    assert {*zoo.names(), *recipes.names(), *datasets.names()} == names
    assert {"mnist_5k", "cifar10", "debian_sections"} < names
    assert all(name in table for name in names)


def test_list_prints_csv_and_json_lines():
    rows = list(csv.DictReader(io.StringIO(_run("list", "--format", "csv").stdout)))
    lines = [json.loads(line) for line in _run("list", "--format", "jsonl").stdout.splitlines()]
    assert [row["name"] for row in rows] == [line["name"] for line in lines]


def test_show_counts_parameters_bits_and_macs():
    document = json.loads(_run("show", "binary_net_mlp", "--format", "json").stdout)
    kernels = [784 * 1024, 1024 * 1024, 1024 * 1024, 1024 * 10]
    norms = 4 * (3 * 1024 + 10)
    assert document["totals"] == {
        "parameters": sum(kernels) + norms,
        "bits": sum(kernels) + 32 * norms,
        "macs": sum(kernels),
        "binary_macs": sum(kernels[1:]),
        "binary_weight_macs": kernels[0],
    }
    assert document["paper"]["arxiv"] == "1602.02830"


def test_show_counts_a_convolution_at_every_pixel():
    document = json.loads(_run("show", "binary_net_cnn_mnist_5k", "--format", "json").stdout)
    layers = {layer["layer"]: layer for layer in document["layers"]}
    assert layers["conv_1_2"]["macs"] == 28 * 28 * 9 * 32 * 32
    assert layers["conv_2_1"]["macs"] == 14 * 14 * 9 * 32 * 64
    assert document["recipe"]["epochs"] == 20


def test_show_prints_layers_and_settings():
    text = _run("show", "binary_net_mlp_mnist_5k").stdout
    for part in ("arXiv 1602.02830", "hidden_2", "1,048,576", "batch_size", "2,910,208"):
        assert part in text


def test_show_of_an_unknown_name_offers_near_matches():
    result = _run("show", "binary_net_mlpp")
    assert result.exit_code == 2
    assert "did you mean binary_net_mlp" in result.stderr
    assert result.stdout == ""


def test_train_evaluates_and_a_finished_run_says_so_at_once(tmp_path):
    arguments = ("train", "float_mlp_mnist_5k", "-o", tmp_path / "run", "--smoke", "--seed", 4)
    first = _run(*arguments)
    assert first.exit_code == 0, first.output
    assert "of 128 test images correct" in first.stdout
    assert "epoch 2/2" in first.stderr
    card = json.loads((tmp_path / "run" / CARD).read_text())
    assert card["seed"] == 4
    assert card["command"].endswith("--seed 4 --smoke")

    again = _run(*arguments)
    assert again.exit_code == 0
    assert "is finished: " in again.stdout
    assert json.loads((tmp_path / "run" / CARD).read_text()) == card

    result = _run("evaluate", tmp_path / "run", "--format", "json")
    assert result.exit_code == 0
    (record,) = json.loads(result.stdout)
    assert record["accuracy"] == record["card_accuracy"] == card["accuracy"]["value"]
    assert record["agrees"] is True


def test_evaluate_fails_when_the_card_claims_more(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    card = json.loads((folder / CARD).read_text())
    card["accuracy"]["value"] = 1.0
    (folder / CARD).write_text(json.dumps(card))
    result = _run("evaluate", folder)
    assert result.exit_code == 1
    assert "100.00%" in result.stdout
    assert " no " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("float_mlp_mnist_5k",), 2, "missing option '-o'"),
        (("float_mlp_mnist_5", "-o", "x"), 2, "did you mean float_mlp_mnist_5k"),
        (("float_mlp_mnist_5k", "-o", "x", "--set", "epoch=3"), 2, "did you mean epochs"),
        (("float_mlp_mnist_5k", "-o", "x", "--set", "epochs"), 2, "not of the form key=value"),
        (("float_mlp_mnist_5k", "-o", "x", "--set", "epochs=a"), 2, "must be of type int"),
        (("float_mlp_mnist_5k", "-o", "x", "--seed", "-3"), 2, "--seed"),
        (("float_mlp_mnist_5k", "-o", "/dev/null/x", "--smoke"), 1, "cannot write /dev/null/x"),
        (("mnist", "-o", "x"), 2, "there is no recipe 'mnist'"),
    ],
)
def test_wrong_arguments_of_train_give_one_line_and_no_folder(
    arguments, exit_code, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = _run("train", *arguments)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not any(tmp_path.iterdir())


def test_evaluate_of_a_missing_run_gives_one_line(tmp_path):
    absent = tmp_path / "absent"
    result = _run("evaluate", absent)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {absent} does not exist; train a run folder")
    assert len(result.stderr.splitlines()) == 1
