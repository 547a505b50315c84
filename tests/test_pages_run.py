"""Every command block of README.md and docs/ is run, in order, or says why it cannot be.

    pytest -m slow tests/test_pages_run.py

Each page starts in its own copy of the checkout, whose `runs/` `BEFORE` has filled.
"""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.notebooks import code_cells, run
from tests.support.pages import REASONS, blocks_of, missing, outputs, plain, session

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "examples" / "first_model.ipynb"
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "cli.md"),
]
RUN = [page for page in PAGES if any(block.reason is None for block in blocks_of(page))]

# What `make demo` and the README leave, which the pages behind it build upon.
BEFORE = """\
onebit zoo train binary_net_mlp_mnist_5k -o runs/demo/binary_net_mlp --set epochs=10
onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn
onebit convert model runs/bnn -o runs/bnn.tflite
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_that_are_not_run_say_why(page):
    for block in blocks_of(page):
        where = f"{page.name}, line {block.line}"
        assert block.reason in (None, *REASONS), where
        if block.kind == "python" and block.reason != "form":
            ast.parse(block.text)


def test_most_blocks_are_run():
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert len([block for block in blocks if block.reason is None]) > 20


def environment(folder):
    """Variables with which a copy's own modules and programs are found."""
    path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}


def bash(script, folder):
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A copy of the checkout with what `BEFORE` makes."""
    folder = tmp_path_factory.mktemp("pages") / "onebit"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    build = ROOT / "edge" / "native" / "build"
    if build.is_dir():
        (folder / "edge" / "native" / "build").symlink_to(build)
    result = bash(f"set -e\n{BEFORE}", folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_page_does_what_it_says(page, prepared, tmp_path):
    folder = tmp_path / "onebit"
    shutil.copytree(prepared, folder, symlinks=True)
    blocks = blocks_of(page)
    result = bash(session(blocks), folder)
    printed = outputs(result.stdout)
    last = blocks[max(printed)]
    ended = "\n".join(result.stdout.splitlines()[-20:])
    assert result.returncode == 0, f"{page.name}, line {last.line}:\n{ended}"
    lacking = {blocks[number].line: missing(blocks[number], printed[number]) for number in printed}
    assert {line: absent for line, absent in lacking.items() if absent} == {}, result.stdout
    new = {path.name for path in folder.iterdir()} - {path.name for path in prepared.iterdir()}
    assert new == set(), "what a page's commands write belongs below runs/"


def test_notebook_has_the_pages_network():
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    (script,) = (b.text for b in blocks_of(ROOT / "docs" / "first-model.md") if b.kind == "file")
    code = "".join(line.strip() for cell in code_cells(notebook) for line in cell["source"])
    layers = [line.strip() for line in script.splitlines() if ".layers." in line]
    assert len(layers) == 10
    for layer in layers:
        assert layer.replace("**weights", "**conv_2") in code


@pytest.mark.slow
def test_notebook_runs(tmp_path, request):
    notebook = run(NOTEBOOK, tmp_path, environment(ROOT))
    if request.config.getoption("--regenerate-goldens"):
        NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    committed = json.loads(NOTEBOOK.read_text())
    for cell, ran in zip(code_cells(committed), code_cells(notebook), strict=True):
        assert shown(cell) == shown(ran)
    assert (tmp_path / "first_model" / "report.html").exists()


def shown(cell):
    """The lines of a cell's output, but for numbers and the delegate, which may not be built."""
    lines = [plain(line) for output in cell["outputs"] for line in output["text"]]
    return [line for line in lines if not line.startswith("with the delegate")]
