"""Standard error is held back, but a terminal goes on showing what is done."""

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

CODE = """
import os, time
from onebit.console import working
from onebit.streams import held_stderr

with working("loading"), held_stderr() as held:
    os.write(2, b"a notice of native code")
    time.sleep(0.5)
assert held() == "a notice of native code", held()
"""


def test_spinner_turns_while_native_code_is_held_back():
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    code = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, stdout=end, stderr=end, stdin=end
    ).returncode
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert code == 0, shown
    assert "notice" not in shown
    assert shown.count("loading") >= 3  # drawn 12 times a second


def test_a_pipe_shows_neither():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
