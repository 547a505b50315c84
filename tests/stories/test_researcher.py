"""A researcher's days: a network of her own, a sweep, more epochs, weights in and out; no fork.

    pytest -m slow tests/stories/test_researcher.py

She works in a folder of her own, with the command and one file. Each step builds on those before.
"""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from onebit.processes import worker_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
OWN = ("--import", "mine.py")
NAME = "leaky_net_stripes"


class Researcher:
    """Her folder, and the command in it."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copy(ROOT / "docs" / "examples" / "mine.py", folder)

    def onebit(self, *arguments, code=0):
        """Standard output of a command that ends with that code; its errors are on the object."""
        command = worker_command("onebit", *map(str, arguments))
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        self.errors = done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def card(self, run):
        return json.loads((self.folder / run / "card.json").read_text())


@pytest.fixture(scope="module")
def her(tmp_path_factory):
    return Researcher(tmp_path_factory.mktemp("researcher"))


def test_a_network_of_her_own_trains_by_its_name(her):
    her.onebit("zoo", "train", NAME, "-o", "runs/a", code=2)
    assert "there is no recipe 'leaky_net_stripes'" in her.errors
    assert "focal" not in her.onebit("zoo", "show", NAME, *OWN)
    her.onebit("zoo", "train", NAME, *OWN, "-o", "runs/a", "--set", "loss=focal")
    assert her.card("runs/a")["accuracy"]["value"] > 0.9
    assert "--import mine.py" in her.card("runs/a")["command"]


def test_she_interrupts_and_resumes(her):
    arguments = ("zoo", "train", NAME, *OWN, "-o", "runs/b", "--set", "epochs=400")
    process = subprocess.Popen(
        worker_command("onebit", *arguments), cwd=her.folder, stderr=subprocess.PIPE, text=True
    )
    history = her.folder / "runs" / "b" / "history.jsonl"
    deadline = time.monotonic() + 120
    while not (history.exists() and len(history.read_text().splitlines()) > 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    resume = errors.splitlines()[-1].removeprefix("interrupted; resume with: onebit ")
    assert "400" not in her.onebit("zoo", "runs", "runs/a")
    assert f"{len(history.read_text().splitlines())} of 400" in her.onebit("zoo", "runs", "runs/b")
    her.onebit(*resume.split())
    assert "resuming after epoch" in her.errors
    assert len(history.read_text().splitlines()) == 400


def test_she_asks_for_more_epochs(her):
    more = ("zoo", "train", NAME, *OWN, "-o", "runs/a", "--set", "loss=focal", "--set", "epochs=8")
    her.onebit(*more, code=2)
    way = re.search(r"--extend hold", her.errors)
    her.onebit(*more, *way[0].split())
    (made,) = her.card("runs/a")["extensions"]
    assert (made["after_epoch"], made["epochs"]) == (5, 8)
    assert "8 of 8" in her.onebit("zoo", "runs", "runs/a")


def test_a_sweep_goes_on_where_it_stopped_and_survives_a_bad_cell(her):
    sweep = ("zoo", "sweep", NAME, *OWN, "-o", "runs/sweep", "--set", "epochs=3")
    grid = ("--set", "lr=1e-3,1e-2", "--seeds", "2")
    commands = her.onebit(*sweep, *grid, "--dry-run").splitlines()
    assert len(commands) == 4
    assert all("--import mine.py" in command for command in commands)
    her.onebit(*commands[0].split()[1:])  # on another machine, say
    table = her.onebit(*sweep, *grid, "--format", "json")
    assert len(json.loads(table)) == 4
    assert "[1/4]" not in her.errors  # it was finished
    her.onebit(*sweep, "--set", "lr=1e-3,1e38", "--seeds", "1", code=1)
    assert "1 of 2 runs failed" in her.errors
    means = her.onebit("zoo", "runs", "runs/sweep", "--mean", "--format", "csv")
    rows = {row["runs"]: row for row in csv.DictReader(io.StringIO(means))}
    assert rows[f"{NAME} learning_rate=0.01"]["seeds"] == "2"
    assert rows[f"{NAME} learning_rate=1e+38"]["accuracy"] == ""


def test_she_changes_data_set_and_quantizer_of_a_recipe(her):
    recipe = ("zoo", "train", "tfc_w1a1_mnist_5k", *OWN, "--smoke")
    her.onebit(*recipe, "-o", "runs/c", "--set", "dataset=digits_8x8",
               "--set", "kernel_quantizer=LeakySign")  # fmt: skip
    card = her.card("runs/c")
    assert card["dataset"]["name"] == "digits_8x8"
    assert card["options"]["kernel_quantizer"] == "LeakySign"
    her.onebit(*recipe, "-o", "runs/d", "--set", "quantizer=LeakySign", code=2)
    assert "did you mean" in her.errors
    assert "kernel_quantizer" in her.errors


def test_her_weights_are_read_without_onebit(her):
    her.onebit("zoo", "export", "runs/a", *OWN, "-o", "runs/a.npz")
    read = """
        import json, sys
        import numpy as np
        card, arrays = json.load(open("runs/a.json")), np.load("runs/a.npz")
        words = arrays["hidden/kernel.bits"].astype("<i4")
        shape = card["weights"]["hidden/kernel"]
        negative = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :shape[-1]]
        np.save("runs/hidden.npy", 1 - 2.0 * negative)
    """
    code = "\n".join(line.strip() for line in read.splitlines())
    subprocess.run([sys.executable, "-c", code], cwd=her.folder, check=True)
    signs = np.load(her.folder / "runs" / "hidden.npy")
    assert signs.shape == (64, 64)
    assert set(np.unique(signs)) == {-1, 1}


def test_weights_of_another_framework_become_a_run_and_a_file(her):
    golden = ROOT / "tests" / "golden"
    settings = ("--set", "units=8", "--map", golden / "state_dict.json")
    weights = golden / "state_dict.npz"
    her.onebit("zoo", "import", weights, "tfc_w1a1_mnist_5k", *settings, "-o", "runs/e", code=1)
    assert "other shapes: fc1.weight becomes [64, 8], hidden_1/kernel is [784, 8]" in her.errors
    assert not (her.folder / "runs" / "e").exists()
    her.onebit("zoo", "import", weights, "tfc_w1a1_digits_8x8", *settings, "-o", "runs/e")
    (evaluated,) = json.loads(her.onebit("zoo", "evaluate", "runs/e", "--format", "json"))
    assert evaluated["agrees"]
    assert "exact" in her.onebit("convert", "model", "runs/e", "-o", "runs/e.tflite")


def test_her_run_becomes_a_file_that_agrees(her):
    assert "exact" in her.onebit("convert", "model", "runs/a", *OWN, "-o", "runs/a.tflite")
