"""The pages that tell contributors and users what there is: complete, and true."""

import re
from pathlib import Path

import click
import pytest
import yaml

import onebit
import onebit_delegate
from onebit.cli_reference import commands, reference

ROOT = Path(__file__).parent.parent
COMMANDS = [(name, command) for name, command in commands() if not hasattr(command, "commands")]


def test_command_reference_is_up_to_date():
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run make docs"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_command_has_help_with_an_example_and_describes_each_option(name, command):
    assert command.help, name
    module = name.replace("onebit ", "python -m ")
    assert f"{name}" in command.help or module in command.help, f"{name} has no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name}: --{parameter.name} has no help"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_every_file_of_results_is_described():
    text = (ROOT / "results" / "README.md").read_text()
    described = set(re.findall(r"`(\w+\.jsonl)`", text))
    assert described - {"rows.jsonl"} == {p.name for p in (ROOT / "results").glob("*.jsonl")}


def test_files_that_contributors_copy_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:zoo|convert|edge|benchmarks|tests)/[\w/]+\.(?:py|cc|inc))`", text)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).is_file(), path


def test_folders_of_the_architecture_page_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    stage = None
    rooms = []
    for line in text.splitlines():
        if match := re.match(r"\| `(zoo|convert|edge)/` \|", line):
            stage = match[1]
        elif line.startswith("| beside"):
            stage = None
        elif stage and line.startswith("| `"):
            rooms += [(stage, room) for room in re.findall(r"`([\w/]+)/`", line.split("|")[1])]
    assert {ROOT / stage / room for stage, room in rooms} >= {
        path
        for stage in ("zoo", "convert", "edge")
        for path in (ROOT / stage).iterdir()
        if path.is_dir() and path.name not in ("__pycache__", "weights")
    }
    for stage, room in rooms:
        assert (ROOT / stage / room).is_dir(), f"{stage}/{room}"


def test_versions_agree():
    assert onebit_delegate.__version__ == onebit.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == onebit.__version__


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/**/*.yml")), ids=lambda p: p.name)
def test_github_files_are_valid(path):
    content = yaml.safe_load(path.read_text())
    assert content["name"]
    steps = [s for job in content.get("jobs", {}).values() for s in job["steps"]]
    runs = [step["run"] for step in steps if "run" in step]
    assert "workflows" not in path.parts or ".ci/run" in runs
