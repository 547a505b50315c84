"""Where a result comes from: the time, the project's commit, the versions of what it ran on."""

import datetime
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import onebit


def utc_now() -> str:
    """The time as ISO 8601 to the second, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def commit() -> str | None:
    """The checked-out commit of Onebit; None without git.

    "+" follows it when files differ, but for `results/`, which the commands themselves write.
    """
    root = Path(onebit.__file__).parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may lie in a foreign repository, whose commit would say nothing.
        git("ls-files", "--error-unmatch", "onebit/__init__.py")
        changed = git("status", "--porcelain", "-uno", "--", ".", ":!results")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of Onebit, Python and the named distributions that are installed."""
    found = {"onebit": onebit.__version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
