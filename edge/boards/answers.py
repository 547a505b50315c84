"""The JSON lines that the harness of a firmware prints, as data."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from onebit.errors import OnebitError

HARD_FAULT, HANG, GARBLED = "hard-fault", "hang", "garbled"
"""Reason codes of runs that failed."""


@dataclass(frozen=True)
class Inference:
    """One inference of a firmware.

    Attributes:
        kind: `vector` or `sample`.
        output: The bytes of the network's output structure.
        agrees: Whether a test vector's output is the expected one; None for samples.
        stack_bytes: How deep the stack went; None where that was not measured.
        cycles: Clock cycles; None where the board counts none.
        instructions: Executed instructions; None where nothing counted them.
    """

    kind: str
    output: bytes
    agrees: bool | None
    stack_bytes: int | None
    cycles: int | None
    instructions: int | None = None


@dataclass(frozen=True)
class Answers:
    """All that a firmware printed.

    Attributes:
        sha256: Of the `.tflite` file that its network is from.
        arena_bytes: Of the network.
        input_bytes: Of its input structure.
        core: What the processor calls itself (CPUID of a Cortex-M); None where it does not.
        inferences: Vectors, then samples.
    """

    sha256: str
    arena_bytes: int
    input_bytes: int
    core: int | None
    inferences: tuple[Inference, ...]

    def with_instructions(self, counts: Iterable[int]) -> "Answers":
        """The same with how many instructions each inference executed."""
        counted = tuple(
            dataclasses.replace(inference, instructions=count)
            for inference, count in zip(self.inferences, counts, strict=True)
        )
        return dataclasses.replace(self, inferences=counted)


class AnswerReader:
    """Collects what the lines of a firmware say, one by one.

    Attributes:
        inferences: Those so far.
    """

    def __init__(self) -> None:
        self.inferences: list[Inference] = []
        self._start: dict[str, Any] = {}

    def read(self, line: str) -> str | None:
        """The kind of a line's record; None where it is none of the harness's.

        Raises:
            OnebitError: The line is garbled or reports a fault; `reason` says which.
        """
        if not line.startswith("{"):
            return None
        try:
            record = json.loads(line)
        except ValueError as error:
            raise _garbled(f"the board printed a garbled line: {line[:80]!r}") from error
        if "fault" in record:
            where = ", ".join(f"{k} {v}" for k, v in record.items() if k != "fault")
            raise OnebitError(
                f"the firmware ended in a {record['fault']}" + (f" ({where})" if where else ""),
                hint="its stack or RAM may be too small",
                reason=HARD_FAULT,
            )
        kind = record.get("kind")
        if kind == "start":
            self._start, self.inferences = record, []
        elif kind in ("vector", "sample"):
            self.inferences.append(_inference(record))
        return None if kind is None else str(kind)

    def answers(self) -> Answers | None:
        """All of them; None before the firmware began.

        Raises:
            OnebitError: The first line lacks something.
        """
        if not self._start:
            return None
        try:
            return Answers(
                str(self._start["sha256"]),
                int(self._start["arena_bytes"]),
                int(self._start["input_bytes"]),
                int(self._start["core"]) or None,
                tuple(self.inferences),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _garbled("the board printed an incomplete line") from error


def parse_answers(said: str, code: int) -> Answers:
    """The answers in the whole output of a firmware that ended with an exit code.

    Raises:
        OnebitError: It reports a fault, or lines are garbled or missing.
    """
    reader = AnswerReader()
    kinds = {reader.read(line) for line in said.splitlines()}
    answers = reader.answers()
    if "end" not in kinds or answers is None:
        last = said.strip().splitlines()[-1:] or ["nothing"]
        raise _garbled(
            f"the firmware ended early with code {code}; last it printed: {last[0][:200]}"
        )
    return answers


def _inference(record: dict[str, Any]) -> Inference:
    try:
        if record["code"] != 0:
            raise OnebitError(f"the network returned {record['code']}")
        return Inference(
            record["kind"],
            bytes.fromhex(record["output"]),
            record["agrees"],
            int(record["stack_bytes"]) or None,
            int(record["cycles"]) or None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _garbled("the board printed an incomplete line") from error


def _garbled(message: str) -> OnebitError:
    return OnebitError(message, reason=GARBLED)
