"""The README shows what the commands print and names only commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TABLES = re.findall(r"<!-- table: (python .+?) -->\n(.*?)<!-- /table -->", README, re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = sorted(
    {m for page in PAGES for m in re.findall(r"python -m (\w+) (\w+)", page.read_text())}
)


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_readme_has_tables():
    assert TABLES


@pytest.mark.parametrize(("command", "table"), TABLES, ids=[command for command, _ in TABLES])
def test_table_is_what_the_command_prints(command, table):
    result = run(*command.split()[1:])
    assert result.returncode == 0, result.stderr
    assert table.strip() == result.stdout.strip(), f"paste the output of: {command}"


@pytest.mark.parametrize(("stage", "verb"), VERBS, ids=lambda v: v)
def test_command_exists(stage, verb):
    result = run("-m", stage, verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
