"""Runs `onebit edge bench` on emulated boards, and waits for what happens there."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Enough to fill a row; the figures themselves are not looked at.
QUICK = ("--mode", "quick", "--runs", "3", "--seconds", "0.01", "--warmup", "0.01")
RUNNER = "onebit-"  # every path on a device lies in a folder with this name
WAIT_SECONDS = 90


class Harness:
    """Starts the command with the tests' own ssh and adb in front of the PATH.

    Attributes:
        rows_file: Where the rows go.
    """

    def __init__(self, folder: Path, programs: Iterable[Path]) -> None:
        self.rows_file = folder / "rows.jsonl"
        search = [*map(str, programs), os.environ["PATH"]]
        self._environment = os.environ | {
            "PATH": os.pathsep.join(search),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts `edge bench` with these arguments."""
        command = [sys.executable, "-m", "edge", "bench", *QUICK, "-o", str(self.rows_file)]
        return subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=self._environment,
            text=True,
        )

    def bench(self, *arguments: str, exit_code: int = 0) -> list[dict[str, Any]]:
        """Runs it to its end; returns the rows."""
        return self.finish(self.start(*arguments), exit_code)

    def finish(self, process: "subprocess.Popen[str]", exit_code: int = 0) -> list[dict[str, Any]]:
        """Waits for the command; returns the rows that are in the file."""
        try:
            printed, _ = process.communicate(timeout=4 * WAIT_SECONDS)
        finally:
            process.kill()
        assert process.returncode == exit_code, printed
        assert "Traceback" not in printed, printed
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        """The rows that are in the file."""
        if not self.rows_file.exists():
            return []
        return [json.loads(line) for line in self.rows_file.read_text().splitlines()]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition holds.

    Raises:
        AssertionError: It does not, for a long time.
    """
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, f"it did not happen in time: {what}"
        time.sleep(0.05)


def runs_on(board: Any) -> bool:
    """Whether the runner has started on a board."""
    return any(RUNNER in words and ".pyz" in words for words in board.processes().values())


def reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why the rows that failed did."""
    assert all(row["status"] == "failed" for row in rows), rows
    return [row["reason"] for row in rows]
