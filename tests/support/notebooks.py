"""Jupyter notebooks of Python and `!command` lines, run without Jupyter."""

import json
import subprocess
import sys

START = """\
import subprocess

def _shell(command):
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    assert done.returncode == 0, command

"""


def code_cells(notebook):
    """The code cells of a notebook's JSON."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def program(notebook):
    """The code cells as one Python program, which prints a mark before each."""
    parts = [START]
    for number, cell in enumerate(code_cells(notebook)):
        parts.append(f'print("@@@ {number}", flush=True)\n')
        for line in "".join(cell["source"]).splitlines():
            command = line.removeprefix("!")
            parts.append(f"_shell({command!r})\n" if command != line else f"{line}\n")
    return "".join(parts)


def run(path, folder, environment):
    """The notebook's JSON with the outputs of a run in a folder.

    Raises:
        AssertionError: A cell failed.
    """
    notebook = json.loads(path.read_text())
    done = subprocess.run(
        [sys.executable, "-c", program(notebook)],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for cell, (_, text) in zip(code_cells(notebook), _parts(done.stdout), strict=True):
        lines = text.splitlines(keepends=True)
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] * bool(lines)
    return notebook


def _parts(printed):
    """Number and output of each cell."""
    for part in printed.split("@@@ ")[1:]:
        number, _, text = part.partition("\n")
        yield int(number), text
