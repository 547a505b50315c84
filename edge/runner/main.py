"""Answers one request with one JSON document."""

import contextlib
import json
import os
import sys

from .errors import RequestError
from .files import read_text
from .inspection import inspect
from .machine import probe


def bench(request):
    """Measures; NumPy is imported here, as the other actions do without."""
    from .bench import bench as measure

    return measure(request)


def evaluate(request):
    """Runs given inputs."""
    from .bench import evaluate as run_inputs

    return run_inputs(request)


def count(request):
    """Counts instructions."""
    from .instructions import count as count_inferences

    return count_inferences(request)


ACTIONS: dict = {
    "probe": lambda request: probe(),
    "inspect": lambda request: inspect(),
    "bench": bench,
    "evaluate": evaluate,
    "count": count,
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


def act(text):
    """The fields of the answer to a request, which is JSON.

    Raises:
        RequestError: It is not, or names no known action.
    """
    try:
        request = json.loads(text)
        action = ACTIONS[request["action"]]
    except ValueError as error:
        raise RequestError("the request is not JSON") from error
    except (KeyError, TypeError) as error:
        known = ", ".join(ACTIONS)
        raise RequestError("the request names none of the actions " + known) from error
    return action(request)


def reason_of(error):
    """An exception in one line: messages of runtimes and the system speak for themselves."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else "no message"
    if isinstance(error, MemoryError):
        return "out of memory" + (": " + lines[0] if lines else "")
    if isinstance(error, (RequestError, ImportError, OSError, RuntimeError, ValueError)):
        return text
    return f"the runner has a bug ({type(error).__name__}): {text}"


def main(arguments):
    """Answers the request in the file that is named, or on standard input."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with stdout_kept_clean() as answer:
        try:
            text = read_text(arguments[0]) if arguments else sys.stdin.read()
            document = {"status": "ok"}
            document.update(act(text or ""))
        except Exception as error:  # the harness makes a row of it, whatever it is
            document = {"status": "failed", "reason": reason_of(error)}
        json.dump(document, answer, allow_nan=False)
        answer.write("\n")
    return 0 if document["status"] == "ok" else 1
