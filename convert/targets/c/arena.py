"""Where values lie: in the caller's input and output, or in one arena of planned size.

Values whose lives overlap lie side by side; the largest are placed first, each as low as it fits
(greedy by size, arXiv 2001.03288, section 4.3).
"""

from collections import defaultdict
from dataclasses import dataclass, field

from convert.targets.c.program import Call, Program, size_bytes

_ALIGNMENT = 4
"""Of every value: words and floats."""


@dataclass
class Arena:
    """The plan.

    Attributes:
        size_bytes: Of the arena.
        offsets: Value → its place in the arena in bytes; values that lie elsewhere are absent.
        outputs: Value → the output in whose memory it lies.
        scratch: For each call the place of its scratch memory; None where it needs none.
    """

    size_bytes: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    scratch: list[int | None] = field(default_factory=list)


@dataclass
class _Block:
    """Memory that is needed from one call to another; `call` is set for scratch memory."""

    size: int
    first: int
    last: int
    members: list[int]
    call: int | None = None
    offset: int = 0


def plan_arena(program: Program) -> Arena:
    """Places every value that a call reads or writes; changes `program.same_memory`.

    Where a call may work in place and its input is read no more, input and output share memory.
    """
    network = program.network
    _share_in_place(program)
    arena = Arena()
    groups = _groups(program)
    blocks: list[_Block] = []
    lives = _lives(program)
    for root, members in groups.items():
        output = next((i for i in network.outputs if i in members), None)
        if output is not None:
            arena.outputs |= dict.fromkeys(members, output)
        elif not set(network.inputs) & set(members) and root in lives:
            size = max(size_bytes(network.values[i]) for i in members)
            blocks.append(_Block(size, *lives[root], members))
    for number, call in enumerate(program.calls):
        if call.scratch_bytes:
            blocks.append(_Block(call.scratch_bytes, number, number, [], number))
    _place(blocks)
    arena.size_bytes = max((_end(block) for block in blocks), default=0)
    scratch = {block.call: block.offset for block in blocks if block.call is not None}
    arena.scratch = [scratch.get(number) for number in range(len(program.calls))]
    arena.offsets = {index: block.offset for block in blocks for index in block.members}
    return arena


def _groups(program: Program) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for index, value in program.network.values.items():
        if value.constant is None:
            groups[program.root(index)].append(index)
    return groups


def _lives(program: Program) -> dict[int, tuple[int, int]]:
    """Root → the first and the last call that uses its memory."""
    lives: dict[int, tuple[int, int]] = {}
    for number, call in enumerate(program.calls):
        for index in (call.writes, *call.reads):
            root = program.root(index)
            first, _ = lives.get(root, (number, number))
            lives[root] = (first, number)
    return lives


def _share_in_place(program: Program) -> None:
    network = program.network
    lives, ends = _lives(program), {*network.inputs, *network.outputs}
    for number, call in enumerate(program.calls):
        if not call.works_in_place or not call.reads:
            continue
        source, target = program.root(call.reads[0]), program.root(call.writes)
        others = {program.root(i) for i in call.reads[1:]}
        groups = _groups(program)
        if (
            source not in others
            and source != target
            and lives[source][1] == number
            and _writers(program, target) == [call]
            and not ends & {*groups[source]}
            and size_bytes(network.values[source]) == size_bytes(network.values[target])
        ):
            program.same_memory[target] = source
            lives[source] = lives[source][0], lives[target][1]


def _writers(program: Program, root: int) -> list[Call]:
    return [call for call in program.calls if program.root(call.writes) == root]


def _place(blocks: list[_Block]) -> None:
    placed: list[_Block] = []
    for block in sorted(blocks, key=lambda b: (-b.size, b.first)):
        overlapping = [p for p in placed if p.first <= block.last and block.first <= p.last]
        block.offset = 0
        for other in sorted(overlapping, key=lambda b: b.offset):
            if block.offset + block.size <= other.offset:
                break
            block.offset = max(block.offset, _end(other))
        placed.append(block)


def _end(block: _Block) -> int:
    return -(-(block.offset + block.size) // _ALIGNMENT) * _ALIGNMENT
