"""A fake `ssh` and `adb` on PATH that run the remote command here, and break on demand."""

import os
import sys

import pytest

# The last argument is the remote command, as the genuine programs take it.
FAKE = """\
#!/bin/sh
for last; do :; done
printf '%s\\n' "$@" >> "$FAKE_LOG/arguments"
{before}
cd "$FAKE_HOME"
export HOME="$FAKE_HOME"
{run}
"""
RUN = 'exec sh -c "$last"'


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Returns a function that puts a fake program on PATH; it returns the arguments' file."""
    programs, home, log = (tmp_path / name for name in ("programs", "home of pi", "log"))
    for folder in (programs, home, log):
        folder.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setenv("FAKE_HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "device's; $(tmp)"))
    (tmp_path / "device's; $(tmp)").mkdir()

    # The device's Python is this one, with its packages.
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def make(name="ssh", before="", run=RUN):
        program = programs / name
        program.write_text(FAKE.format(before=before, run=run))
        program.chmod(0o755)
        return log / "arguments"

    return make


@pytest.fixture
def device_folder(tmp_path, fake):
    """Where the device's temporary folders are made; its name is hostile to shells."""
    return tmp_path / "device's; $(tmp)"
