"""Users' own models, quantizers, data sets and recipes: files they name, and installed packages."""

import importlib.metadata
import importlib.util
import itertools
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from onebit.errors import OnebitError, UsageError, first_line

ENTRY_POINTS = "onebit"
"""The group in which an installed package names modules to import."""

_files: dict[Path, str] = {}
_installed = False


def import_files(paths: Iterable[Path]) -> None:
    """Runs Python files, each once in a process; what they register is there afterwards.

    Raises:
        UsageError: A path is not a Python file.
        OnebitError: A file raises.
    """
    for given in paths:
        path = given.resolve()
        if path in _files:
            continue
        run_file(given, f"onebit_imported_{len(_files)}_{path.stem}", "--import")
        _files[path] = str(given)


def run_file(path: Path, name: str, option: str) -> ModuleType:
    """Runs a Python file as the module of that name.

    Args:
        path: A .py file.
        name: Of the module, under which it stays imported.
        option: The option that named the file, for the message.

    Raises:
        UsageError: The path is not a Python file.
        OnebitError: The file raises.
    """
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if path.suffix != ".py" or not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", hint=f"{option} takes a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, OnebitError) or not isinstance(error, Exception):
            raise
        raised = f"{type(error).__name__}: {first_line(error)}"
        raise OnebitError(f"{path} fails: {raised}") from error
    return module


def import_installed() -> None:
    """Imports the modules that installed packages name as entry points of the group `onebit`.

    Raises:
        OnebitError: One of them fails.
    """
    global _installed
    if _installed:
        return
    _installed = True
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            raise OnebitError(
                f"the entry point {entry.name} = {entry.value} fails: {first_line(error)}",
                hint="repair or uninstall its package",
            ) from error


def arguments() -> list[str]:
    """`--import FILE` for each file that was run, for the command that resumes."""
    return [part for given in _files.values() for part in ("--import", given)]


def imports_of(command: str | None) -> list[str]:
    """The files after `--import` in a command line."""
    try:
        parts = shlex.split(command or "")
    except ValueError:
        return []
    return [file for option, file in itertools.pairwise(parts) if option == "--import"]


def _import(context: click.Context, option: click.Parameter, paths: Any) -> None:
    import_files(paths)


import_option = click.option(
    "--import",
    "imports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    is_eager=True,
    expose_value=False,
    callback=_import,
    help="Run this Python file first; it registers models, data sets, recipes or classes of saved "
    "models. Repeatable.",
)
"""`--import`, which runs the files before the command."""
