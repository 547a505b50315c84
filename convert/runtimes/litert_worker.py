"""Runs `.tflite` files on stock LiteRT, mostly with a delegate, in a separate process.

    python -m convert.runtimes.litert_worker LIBRARY FILE

A delegate is native code that may take the whole process down, and LiteRT brings symbols that
TensorFlow and Larq Compute Engine have too. `convert.runtimes.litert` starts this file
and talks to it by standard input and output. It answers `ready`, or why not, in a line; then each
message in and out is an `.npz` archive behind its length, with the arrays of a batch in the file's
order. It ends with its input.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from convert.samples import filled, joined

READY = "ready"
_LENGTH_BYTES = 8


def send(stream: IO[bytes], arrays: Sequence[np.ndarray]) -> None:
    """Writes arrays as one message."""
    archive = io.BytesIO()
    np.savez(archive, *arrays)
    stream.write(archive.tell().to_bytes(_LENGTH_BYTES, "little"))
    stream.write(archive.getbuffer())
    stream.flush()


def receive(stream: IO[bytes]) -> list[np.ndarray]:
    """Reads the arrays of one message.

    Raises:
        EOFError: The stream ends before the message does.
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    content = stream.read(length)
    if not length or len(content) < length:
        raise EOFError
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]


def open_interpreter(library: str, file: str) -> Any:
    """A LiteRT interpreter with the delegate in `library`, if one is named, ready to run `file`.

    Raises:
        RuntimeError: LiteRT or the delegate refuses the file.
        OSError, ValueError: The delegate's library cannot be loaded.
    """
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    delegates = [load_delegate(library)] if library else None
    interpreter = Interpreter(file, experimental_delegates=delegates)
    interpreter.allocate_tensors()
    return interpreter


def run_batch(interpreter: Any, batch: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs for a batch, which is fed in pieces of the file's size, mostly 1."""
    rows = []
    count, size = len(batch[0]), int(interpreter.get_input_details()[0]["shape"][0])
    for start in range(0, count, size):
        for detail, array in zip(interpreter.get_input_details(), batch, strict=True):
            interpreter.set_tensor(detail["index"], filled(array[start : start + size], size))
        interpreter.invoke()
        rows.append([interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()])
    return [joined(column, size * len(rows), count) for column in zip(*rows, strict=True)]


def main(library: str, file: str) -> None:
    """Answers one batch after the other until the input ends."""
    # What LiteRT prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        interpreter, state = open_interpreter(library, file), READY
    except (OSError, RuntimeError, ValueError) as error:
        state = " ".join(str(error).split())
    answers.write(state.encode() + b"\n")
    answers.flush()
    while state == READY:
        try:
            batch = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, run_batch(interpreter, batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
