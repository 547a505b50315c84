"""The boards that QEMU emulates and exported networks run on."""

from dataclasses import dataclass

from onebit.errors import UsageError, near_matches

PREFIX = "mcu:"


@dataclass(frozen=True)
class Memory:
    """A memory of a board: its first address and its size in bytes."""

    origin: int
    size_bytes: int


@dataclass(frozen=True)
class Toolchain:
    """A cross-compiler and an emulator.

    Attributes:
        prefix: Of the compiler's programs.
        emulator: QEMU's program.
        start: The start-up file of the board package.
        packages: Debian's packages with all of it.
    """

    prefix: str
    emulator: str
    start: str
    packages: tuple[str, ...]


ARM = Toolchain(
    "arm-none-eabi-",
    "qemu-system-arm",
    "start_arm.c",
    ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm"),
)
RISCV = Toolchain(
    "riscv64-unknown-elf-",
    "qemu-system-riscv32",
    "start_riscv.c",
    ("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf", "qemu-system-misc"),
)


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: Its name behind `mcu:`, QEMU's.
        core: The processor.
        machine: QEMU's arguments that choose it.
        flags: The compiler's.
        flash: Where code and constants lie.
        ram: Where the rest lies.
        toolchain: What builds and runs for it.
    """

    name: str
    core: str
    machine: tuple[str, ...]
    flags: tuple[str, ...]
    flash: Memory
    ram: Memory
    toolchain: Toolchain = ARM

    @property
    def address(self) -> str:
        """As the command line takes it."""
        return f"{PREFIX}{self.name}"


def _cortex_m(core: str, *more: str) -> tuple[str, ...]:
    return (f"-mcpu=cortex-{core}", "-mthumb", *more)


_MPS2_FLASH, _MPS2_RAM = Memory(0, 4 << 20), Memory(0x20000000, 4 << 20)

BOARDS = {
    board.name: board
    for board in (
        Board(
            "microbit", "Cortex-M0", ("-M", "microbit"), _cortex_m("m0"),
            Memory(0, 256 << 10), Memory(0x20000000, 16 << 10),
        ),
        Board(
            "mps2-an385", "Cortex-M3", ("-M", "mps2-an385"), _cortex_m("m3"),
            _MPS2_FLASH, _MPS2_RAM,
        ),
        Board(
            "mps2-an386", "Cortex-M4", ("-M", "mps2-an386"),
            _cortex_m("m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), _MPS2_FLASH, _MPS2_RAM,
        ),
        Board(
            "mps2-an500", "Cortex-M7", ("-M", "mps2-an500"),
            _cortex_m("m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"), _MPS2_FLASH, _MPS2_RAM,
        ),
        Board(
            "mps2-an505", "Cortex-M33", ("-M", "mps2-an505"),
            _cortex_m("m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            Memory(0x10000000, 4 << 20), Memory(0x38000000, 4 << 20),
        ),
        Board(
            "mps3-an547", "Cortex-M55", ("-M", "mps3-an547"),
            _cortex_m("m55", "-mfloat-abi=hard"),
            Memory(0x10000000, 512 << 10), Memory(0x30000000, 512 << 10),
        ),
        Board(
            "riscv32", "RV32IMAC", ("-M", "virt", "-bios", "none"),
            ("-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany", "-msmall-data-limit=0",
             "--specs=picolibc.specs"),
            Memory(0x80000000, 4 << 20), Memory(0x80400000, 4 << 20), RISCV,
        ),
    )
}  # fmt: skip
"""Board → what it is. Sizes are those of the emulated memories."""


def find_board(address: str) -> Board:
    """The board of an address such as `mcu:mps2-an385`.

    Raises:
        UsageError: There is none of that name.
    """
    name = address.removeprefix(PREFIX)
    if name not in BOARDS:
        raise UsageError(f"{address} is not a board", hint=near_matches(name, BOARDS))
    return BOARDS[name]
