"""Lists the delegate's kernels, from the one list of them: `python edge/native/kernel_table.py`.

Prints the table of docs/delegate.md: the variants of the binary convolution, the best first.
"""

import re
from dataclasses import dataclass
from pathlib import Path

VARIANTS = Path(__file__).parent / "kernels" / "variants.inc"
ROW = re.compile(
    r'B1_KERNEL\(\w+, \w+, \w+, "b1_([a-z]+)(\w*)__(\w+)", (\d+), (\d+)\)(?: *// (.*))?'
)


@dataclass(frozen=True)
class Kernel:
    """A row of the list.

    Attributes:
        name: The kernel's name.
        op: The operation.
        isa: The instruction set.
        mr: Pixels or rows that it computes at a time.
        nr: Channels that it computes at a time.
        note: What the table says of it.
    """

    name: str
    op: str
    isa: str
    mr: int
    nr: int
    note: str


def kernels() -> list[Kernel]:
    """All kernels of all architectures."""
    found = []
    for row in VARIANTS.read_text().splitlines():
        if row.startswith("B1_KERNEL"):
            match = ROW.fullmatch(row)
            if match is None:
                raise ValueError(f"{VARIANTS}: not a row of the list: {row}")
            op, tile, isa, mr, nr, note = match.groups()
            name = f"b1_{op}{tile}__{isa}"
            found.append(Kernel(name, op, isa, int(mr), int(nr), note or ""))
    return found


def main() -> None:
    """Prints the table."""
    print("| variant | tile: pixels × channels | instructions |\n| --- | --- | --- |")
    for kernel in kernels():
        if kernel.op == "bconv":
            shape, _, instructions = kernel.note.partition("; ")
            tile = f"{kernel.mr} × {kernel.nr}, {shape}"
            print(f"| `{kernel.name}` | {tile} | {instructions or '–'} |")


if __name__ == "__main__":
    main()
