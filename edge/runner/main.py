"""Answers one request with one JSON document."""

import contextlib
import json
import os
import sys

from .files import read_text
from .inspection import inspect
from .machine import probe


def bench(request):
    """Measures; what it takes is imported here, as the other actions need no numpy."""
    from .bench import bench as measure

    return measure(request)


def evaluate(request):
    """Runs given inputs."""
    from .bench import evaluate as run_inputs

    return run_inputs(request)


ACTIONS: dict = {
    "probe": lambda request: probe(),
    "inspect": lambda request: inspect(),
    "bench": bench,
    "evaluate": evaluate,
}


@contextlib.contextmanager
def stdout_kept_clean():
    """Yields a stream for the answer, while everything else that goes to fd 1 lands on fd 2."""
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield answer
    finally:
        answer.close()


def main(arguments):
    """Answers the request in the file that is named, or on standard input."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with stdout_kept_clean() as answer:
        try:
            text = read_text(arguments[0]) if arguments else sys.stdin.read()
            request = json.loads(text or "")
            document = {"status": "ok"}
            document.update(ACTIONS[request["action"]](request))
        except Exception as error:  # the harness makes a row of it, whatever it is
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = type(error).__name__ + (": " + lines[0] if lines else "")
            document = {"status": "failed", "reason": reason}
        json.dump(document, answer, allow_nan=False)
        answer.write("\n")
    return 0 if document["status"] == "ok" else 1
