"""A result names the code that made it, whatever results are written meanwhile."""

import subprocess

import pytest

import onebit
from onebit import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the package and a file of results, both committed."""
    for name in ("onebit/__init__.py", "results/rows.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("\n")
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(onebit, "__file__", str(tmp_path / "onebit/__init__.py"))
    return tmp_path


def test_commit_tells_changed_code_and_not_new_results(checkout):
    clean = provenance.commit()
    assert len(clean) == 40
    (checkout / "results/rows.jsonl").write_text("{}\n")
    assert provenance.commit() == clean
    (checkout / "onebit/__init__.py").write_text("# changed\n")
    assert provenance.commit() == f"{clean}+"


def test_an_installed_copy_has_no_commit(checkout, monkeypatch):
    monkeypatch.setattr(onebit, "__file__", str(checkout / "elsewhere/onebit/__init__.py"))
    assert provenance.commit() is None
