"""Users' own Python files, and packages that name modules as entry points."""

import importlib.metadata
import sys

import pytest

from onebit import imports
from onebit.errors import OnebitError, UsageError


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(imports, "_files", {})
    monkeypatch.setattr(imports, "_installed", False)


def test_file_is_run_once_and_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "runs", [], raising=False)
    path = tmp_path / "my file.py"
    path.write_text("import sys; sys.runs.append(__name__)")
    imports.import_files([path, path])
    imports.import_files([path])
    assert len(sys.runs) == 1
    assert sys.modules[sys.runs[0]].__file__ == str(path)
    assert imports.arguments() == ["--import", str(path)]


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("absent.py", None, UsageError, "absent.py is not a Python file"),
        ("text.txt", "1", UsageError, "--import takes a .py file"),
        ("wrong.py", "1 / 0", OnebitError, "wrong.py fails: ZeroDivisionError: division by zero"),
        ("syntax.py", "def", OnebitError, "syntax.py fails: SyntaxError"),
    ],
)
def test_file_that_fails_is_one_line(tmp_path, name, content, error, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        imports.import_files([tmp_path / name])
    assert imports.arguments() == []


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("onebit zoo train x --import 'a b.py' -o y --import c.py", ["a b.py", "c.py"]),
        ("onebit zoo train x -o y", []),
        ("onebit 'unbalanced", []),
        (None, []),
    ],
)
def test_files_are_found_in_a_command(command, files):
    assert imports.imports_of(command) == files


def test_entry_points_are_imported_once(monkeypatch):
    loaded = []

    class Entry:
        name, value = "mine", "mypackage.networks"

        def load(self):
            loaded.append(self.value)

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry()])
    imports.import_installed()
    imports.import_installed()
    assert loaded == ["mypackage.networks"]


def test_entry_point_that_fails_names_its_package(monkeypatch):
    entry = importlib.metadata.EntryPoint("mine", "no_such_package.networks", imports.ENTRY_POINTS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    with pytest.raises(OnebitError, match=r"mine = no_such_package\.networks fails"):
        imports.import_installed()
