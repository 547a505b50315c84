"""A target: how it writes, and which of the command's options it takes."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onebit.cli import shell_word
from onebit.errors import UsageError


@dataclass(frozen=True)
class ExportOptions:
    """Options of `convert export` that only some targets take; each is unset by default.

    Attributes:
        name: What C symbols are called or begin with.
        for_: The tool that reads a QONNX file.
        input_bits: Of the integers that stand for the input of hardware.
        input_scale: The step between two inputs of hardware.
        input_type: Whether FINN's input is floats or the integers themselves, or a C network's
            floats or 8-bit pixels.
        cmsis_nn: Whether int8 layers of a C network are left to CMSIS-NN.
        style: How a design in Verilog computes.
        pe: Outputs that a layer of a folded design computes at once, at most.
        simd: Bits that a layer of a folded design takes in a cycle, at most.
    """

    name: str | None = None
    for_: str | None = None
    input_bits: int | None = None
    input_scale: float | None = None
    input_type: str | None = None
    cmsis_nn: bool = False
    style: str | None = None
    pe: int | None = None
    simd: int | None = None


@dataclass(frozen=True)
class Export:
    """A file that is exported.

    Attributes:
        content: The `.tflite` file.
        source: Its path, for messages.
        path: Where to write: a temporary place that becomes the output when all went well.
        options: The options that were given.
        output: The output as the user named it; `path` when None.
    """

    content: bytes
    source: str
    path: Path
    options: ExportOptions = ExportOptions()
    output: Path | None = None

    @property
    def shown(self) -> str:
        """The output as a word of a shell's command."""
        return shell_word(self.output or self.path)


@dataclass(frozen=True)
class Target:
    """A form in which a file leaves.

    Attributes:
        write: Writes the file or folder `export.path` and returns a summary; it raises before it
            writes where the target cannot express the file.
        require_own: Raises unless the output is absent or one that Onebit wrote, or forced.
        suffix: The output's suffix; None where the output is a folder.
        options: The fields of `ExportOptions` that it takes.
    """

    write: Callable[[Export], str]
    require_own: Callable[[Path, bool], None]
    suffix: str | None
    options: tuple[str, ...] = ()

    def check(self, name: str, options: ExportOptions) -> None:
        """Refuses options that this target would ignore.

        Raises:
            UsageError: One was given.
        """
        for field in dataclasses.fields(options):
            if getattr(options, field.name) != field.default and field.name not in self.options:
                option = "--" + field.name.strip("_").replace("_", "-")
                raise UsageError(f"{option} has no effect with --to {name}")
