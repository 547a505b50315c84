"""Ctrl-C at a random moment ends every command with one line and exit code 130."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import convert.__main__
import edge.__main__
import zoo.__main__
from convert.targets.c.project import project_files
from onebit.own_folders import write_folder

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "written_before"
GOLDEN = ROOT / "tests" / "golden"
GROUPS = {"zoo": zoo.__main__.main, "convert": convert.__main__.main, "edge": edge.__main__.main}

COMMANDS = {
    "zoo list": (),
    "zoo show": ("binary_net_mlp",),
    "zoo train": ("binary_net_mlp_mnist_5k", "--smoke", "-o", "run"),
    "zoo sweep": ("binary_net_mlp_mnist_5k", "--smoke", "-o", "sweep"),
    "zoo evaluate": (str(FOLDER / "run"),),
    "zoo export": (str(FOLDER / "run"), "-o", "weights.npz"),
    "zoo import": (
        *(str(GOLDEN / "state_dict.npz"), "tfc_w1a1", "--map", str(GOLDEN / "state_dict.json")),
        *("--set", "units=8", "--set", "input_shape=8,8,1", "-o", "imported.keras"),
    ),
    "convert model": (str(FOLDER / "run"), "-o", "model.tflite"),
    "convert audit": (str(FOLDER / "model.tflite"),),
    "convert verify": (str(FOLDER / "run"), str(FOLDER / "model.tflite")),
    "zoo runs": (str(FOLDER / "run"),),
    "convert export": (str(FOLDER / "model.tflite"), "--to", "npz", "-o", "model.npz"),
    "convert weights": (str(FOLDER / "model.tflite"), "-o", "weights.npz"),
    "edge devices": (),
    "edge doctor": ("local",),
    "edge bench": (str(FOLDER / "model.tflite"), "-o", "rows.jsonl", "--mode", "quick"),
    "edge compare": (
        str(ROOT / "results" / "compare_once.jsonl"),
        str(ROOT / "results" / "compare_again.jsonl"),
    ),
    "edge harness": ("EXPORTED", "-o", "bnn_board"),
    "edge report": (str(FOLDER / "rows.jsonl"), "-o", "report.html"),
}

SECONDS = (0.0, 0.15, 0.8, 4.0)
"""Between two neighbours lies one random moment, so that short commands are met too."""

# Runs a module as `python -m` does, and writes to a pipe as soon as the module handles Ctrl-C:
# before, Python itself is starting.
START = """\
import os, runpy, signal, sys, threading, time

def watch():
    while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        time.sleep(0.001)
    os.write(int(pipe), b"x")

module, pipe, *sys.argv[1:] = sys.argv[1:]
threading.Thread(target=watch, daemon=True).start()
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def test_every_command_is_listed():
    known = {f"{stage} {name}" for stage, group in GROUPS.items() for name in group.commands}
    assert set(COMMANDS) == known


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder that EXPORTED stands for: a model as C."""
    folder = tmp_path_factory.mktemp("exported") / "bnn_c"
    files, about = project_files((FOLDER / "model.tflite").read_bytes(), "model.tflite", "bnn_c")
    write_folder(folder, files, target="c", network=about)
    return folder


def interrupted(command, arguments, seconds, folder):
    """Standard error and exit code of a command that is interrupted after some seconds.

    The signal goes to the whole group of processes, as a terminal's does.
    """
    module, name = command.split()
    ready, signalled = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", START, module, str(signalled), name, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        pass_fds=[signalled],
        cwd=folder,
        start_new_session=True,
    ) as process:
        os.close(signalled)
        os.read(ready, 1)
        os.close(ready)
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    return errors.decode(errors="replace"), process.returncode


OFTEN = {"zoo list", "zoo train", "zoo import", "convert model", "convert audit", "edge bench"}
OFTEN |= {"edge harness", "edge report"}


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[] if c in OFTEN else [pytest.mark.slow]) for c in COMMANDS],
)
def test_interrupt_at_any_moment_is_one_line_and_130(command, exported, tmp_path):
    arguments = [str(exported) if a == "EXPORTED" else a for a in COMMANDS[command]]
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for index, (low, high) in enumerate(itertools.pairwise(SECONDS)):
        folder = tmp_path / str(index)
        folder.mkdir()
        seconds = moments.uniform(low, high)
        errors, code = interrupted(command, arguments, seconds, folder)
        about = f"seed {seed}, after {seconds:.3f} s: code {code}: {errors}"
        assert "Traceback" not in errors, about
        last = errors.splitlines()[-1:] or [""]
        if last[0].startswith("interrupted"):
            assert code == 130, about
            assert list(folder.rglob(".*")) == [], about
        else:
            # It was done, or as good as: `edge doctor` exits with 1 where something is amiss.
            assert code in ((0, 1) if command == "edge doctor" else (0,)), about
            break
    assert index > 0, "it was done before the first moment"
