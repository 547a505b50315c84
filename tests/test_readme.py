"""The README and docs/ show what the commands print and name only commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "".join(page.read_text() for page in PAGES)
TABLES = re.findall(r"<!-- table: (python .+?) -->\n(.*?)<!-- /table -->", TEXT, re.DOTALL)
VERBS = sorted(set(re.findall(r"(?:python -m|onebit) (zoo|convert|edge) ([a-z]+)", TEXT)))


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_pages_have_tables():
    assert len(TABLES) >= 3


@pytest.mark.parametrize(("command", "table"), TABLES, ids=[command for command, _ in TABLES])
def test_table_is_what_the_command_prints(command, table):
    result = run(*command.split()[1:])
    assert result.returncode == 0, result.stderr
    assert table.strip() == result.stdout.strip(), f"paste the output of: {command}"


@pytest.mark.parametrize(("stage", "verb"), VERBS, ids=lambda v: v)
def test_command_exists(stage, verb):
    result = run("-m", "onebit", stage, verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
