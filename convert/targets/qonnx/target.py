"""`convert export --to qonnx`: a file for FINN, for hls4ml, or for any tool that reads QONNX."""

from pathlib import Path

from convert.targets.qonnx.audit import audit_rows, print_rows, refused_rows
from convert.targets.qonnx.general import write_network
from convert.targets.qonnx.hardware import FINN, HLS4ML, refused_stages, write_chain
from convert.targets.qonnx.onnx_writer import PRODUCER, OnnxWriter
from convert.targets.qonnx.quantizers import Bipolar, Quantizers
from convert.targets.reading import read_network
from convert.targets.refusals import require_images
from convert.targets.target import Export, Target
from convert.targets.thresholds.network import InputGrid
from convert.targets.thresholds.reading import refused_operators, threshold_network
from onebit.errors import UsageError
from onebit.files import require_own

DIALECTS = {"finn": FINN, "hls4ml": HLS4ML}


def qonnx(
    content: bytes,
    tool: str,
    name: str,
    grid: InputGrid | None = None,
    *,
    integer_input: bool = False,
) -> bytes:
    """The QONNX file of a converted file.

    Args:
        content: The `.tflite` file.
        tool: "generic", "finn" or "hls4ml".
        name: Of the graph, and of the file in messages.
        grid: The integers that hardware reads; 8 bits in steps of 1/128 when absent.
        integer_input: Whether FINN's input is these integers instead of floats.

    Raises:
        ConversionError: The tool cannot express a layer, or would compute something else.
    """
    if tool == "generic":
        return plain_onnx(content, Bipolar(), name, {"dialect": "qonnx"})
    network = read_network(content, name)
    chain = threshold_network(network, grid)
    writer = OnnxWriter(name)
    source, output = write_chain(chain, DIALECTS[tool], writer, integer_input=integer_input)
    return writer.finish([source], [output], content, {"dialect": f"qonnx for {tool}"})


def plain_onnx(content: bytes, quantizers: Quantizers, name: str, metadata: dict) -> bytes:
    """A file of the whole network, operator by operator.

    Raises:
        ConversionError: An operator has no counterpart.
    """
    writer = OnnxWriter(name)
    inputs, outputs = write_network(read_network(content, name), quantizers, writer)
    return writer.finish(inputs, outputs, content, metadata)


def require_own_onnx(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that is not an ONNX file written by Onebit.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    require_own(path, _is_own_onnx, force)


def _is_own_onnx(path: Path) -> bool:
    import onnx

    return onnx.load(path, load_external_data=False).producer_name == PRODUCER


def grid_of(export: Export) -> InputGrid:
    """The input's integers that the command asks for."""
    default, options = InputGrid(), export.options
    return InputGrid(
        default.bits if options.input_bits is None else options.input_bits,
        default.scale if options.input_scale is None else options.input_scale,
    )


def _write(export: Export) -> str:
    options, name = export.options, export.path.stem
    tool = options.for_ or "generic"
    if options.input_type in ("uint8", "int8"):
        raise UsageError(
            f"--input-type {options.input_type} has no effect with --to qonnx",
            hint="write integer, and --input-bits",
        )
    given = {
        "--input-bits": options.input_bits,
        "--input-scale": options.input_scale,
        "--input-type": options.input_type,
    }
    for option, value in given.items():
        if value is not None and (
            tool == "generic" or (tool == "hls4ml" and option == "--input-type")
        ):
            raise UsageError(f"{option} has no effect with --for {tool}")
    if tool == "generic":
        content = qonnx(export.content, tool, name)
        export.path.write_bytes(content)
        return f"{len(content):,} bytes of QONNX"
    title = f"{export.source} for {tool}"
    network, grid = read_network(export.content, export.source), grid_of(export)
    require_images(network)  # before a table of layers that are not the reason
    refused = refused_operators(network)
    if refused:
        print_rows(refused_rows(network, refused), title)
    chain = threshold_network(network, grid)
    is_integer = options.input_type == "integer"
    print_rows(audit_rows(chain, tool, refused_stages(chain), is_integer), title)
    content = qonnx(export.content, tool, name, grid, integer_input=is_integer)
    export.path.write_bytes(content)
    return f"{len(content):,} bytes of QONNX for {tool}"


TARGET = Target(
    _write, require_own_onnx, ".onnx", ("for_", "input_bits", "input_scale", "input_type")
)
