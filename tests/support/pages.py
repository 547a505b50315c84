"""The command blocks of README.md and docs/: found, run in order, and compared with their outputs.

A block is run unless a comment above it says why it cannot be:

    <!-- not run: hardware -->                   the block below
    <!-- not run "make test": long -->           its commands that begin so
    <!-- file: first_model.py -->                the block below is the content of a file
    <!-- output: another machine's -->           its output is not compared

The reasons are those of `REASONS`.
"""

import dataclasses
import re
import shlex
from pathlib import Path

REASONS = {
    "hardware": "it needs a device, or an emulated one",
    "data": "it needs files or programs that are not in the repository",
    "network": "it downloads",
    "long": "it takes many minutes",
    "form": "it has parts to fill in: names in CAPITALS, […], a|b",
    "fragment": "it is about objects of the reader's program",
}
"""Why a block is not run; further words may follow the reason."""

COMMANDS = ("onebit ", "make ", "python ", "pip ", "$ ", ".venv/", "source ")
"""How the first line of an indented block of commands begins."""

MARK = re.compile(r'<!-- not run(?: "(?P<command>[^"]+)")?: (?P<reason>\w+).* -->')
FILE = re.compile(r"<!-- file: (?P<path>\S+) -->")
OUTPUT = re.compile(r"<!-- output: .+ -->")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of commands, a program or a file of a page.

    Attributes:
        page: The page's name.
        line: Its first line there, from 1.
        kind: "console", "python" or "file".
        text: Its content, without indent.
        path: Of a file.
        reason: Why it is not run; None for a block that is.
        left_out: Beginnings of its commands that are not run.
        compared: Whether its output must be that of the page.
    """

    page: str
    line: int
    kind: str
    text: str
    path: str | None = None
    reason: str | None = None
    left_out: tuple[str, ...] = ()
    compared: bool = True

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, continued lines with the lines before them."""
        prompt = "$ " if self.text.startswith("$ ") else ""
        found: list[str] = []
        going_on = False
        for line in self.text.splitlines():
            if going_on:
                found[-1] += f"\n{line}"
            elif line.startswith(prompt):
                found.append(line.removeprefix(prompt))
            else:
                continue
            going_on = line.endswith("\\")
        return [c for c in found if not c.startswith(self.left_out or ("\0",))]

    @property
    def output(self) -> list[str]:
        """The lines that are not commands."""
        if not self.text.startswith("$ "):
            return []
        commands = {line for command in self.commands for line in command.splitlines()}
        return [
            line
            for line in self.text.splitlines()
            if not line.startswith("$ ") and line not in commands and line.strip() not in ("", "…")
        ]

    def script(self, number: int) -> str:
        """The part of the bash script: a mark, and then the commands."""
        lines = [f'echo "@@@ {number}"']
        if self.kind == "console":
            lines += self.commands
        else:
            path = self.path or f".block_{number}.py"
            lines.append(f"cat > {shlex.quote(path)} <<'ONEBIT_END'\n{self.text}ONEBIT_END")
            lines += [] if self.kind == "file" else [f"python {path}", f"rm {path}"]
        return "\n".join(lines) + "\n"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, those that are not run too."""
    lines = page.read_text().splitlines()
    found = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if match := re.match(r"(`{3,})(\w*)", line):
            end = lines.index(match[1], index + 1)
            body = lines[index + 1 : end]
            block = _block(page, lines, index, match[2], body)
            index = end
        elif line.startswith(tuple(f"    {c}" for c in COMMANDS)) and not lines[index - 1].strip():
            end = index
            while end < len(lines) and lines[end].startswith("    "):
                end += 1
            body = [each.removeprefix("    ") for each in lines[index:end]]
            block = _block(page, lines, index, "console", body)
            index = end
        else:
            block = None
        if block:
            found.append(block)
        index += 1
    return found


def _block(page: Path, lines: list[str], index: int, language: str, body: list[str]):
    marks = []
    above = index - 1
    while above >= 0 and (lines[above].startswith("<!--") or not lines[above].strip()):
        marks.append(lines[above])
        above -= 1
    files = [match["path"] for mark in marks if (match := FILE.match(mark))]
    not_run = [match for mark in marks if (match := MARK.match(mark))]
    kind = "file" if files else language
    if kind not in ("console", "python", "file"):
        return None
    return Block(
        page.name,
        index + 1,
        kind,
        "\n".join(body) + "\n",
        path=files[0] if files else None,
        reason=next((match["reason"] for match in not_run if not match["command"]), None),
        left_out=tuple(match["command"] for match in not_run if match["command"]),
        compared=not any(OUTPUT.match(mark) for mark in marks),
    )


def session(blocks: list[Block]) -> str:
    """A bash script of all blocks that are run; it ends where one fails."""
    parts = ["set -eo pipefail\nexec 2>&1\n"]
    return "".join(parts + [b.script(n) for n, b in enumerate(blocks) if b.reason is None])


def outputs(text: str) -> dict[int, list[str]]:
    """The lines that each block of a session has printed, by its number."""
    found: dict[int, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"@@@ (\d+)", line):
            lines = found.setdefault(int(match[1]), [])
        else:
            lines.append(line)
    return found


def missing(block: Block, printed: list[str]) -> list[str]:
    """The lines of a block's output that were not printed, but for numbers and widths."""
    known = {plain(line) for line in printed}
    return [line for line in block.output if block.compared and plain(line) not in known]


def plain(line: str) -> str:
    """A line without its numbers, and with one blank or stroke where there are several."""
    line = re.sub(r"[-+]?\d[\d.,]*(?:e-?\d+)?", "0", line)
    line = re.sub(r"([━─┏┳┓┡╇┩├┼┤└┴┘┌┬┐])\1+", r"\1", line)
    return re.sub(r"\s+", " ", line).strip()
