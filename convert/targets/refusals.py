"""Refusals of FPGA and ONNX targets: a layer, the reason and the way out."""

from convert.errors import ConversionError
from convert.targets.network import Network, Operator


def refusal(
    operator: Operator | str | None, cause: str, hint: str | None = None
) -> ConversionError:
    """The error for a network that a target cannot express.

    Args:
        operator: What has no counterpart, or its name; None for the network as a whole.
        cause: What is wrong with it.
        hint: The way out.
    """
    subject = "the network" if operator is None else operator
    if isinstance(subject, Operator):
        subject = f"{subject.name} ({subject.op})"
    return ConversionError(f"{subject}: {cause}", hint=hint, reason="no-counterpart")


def require_images(network: Network) -> None:
    """Refuses networks of tokens, such as BERT, before anything is said of their layers.

    Raises:
        ConversionError: An input holds indices.
    """
    for index, name in zip(network.inputs, network.input_names, strict=True):
        value = network.values[index]
        if value.dtype in ("int32", "int64") and len(value.shape) <= 2:
            raise refusal(
                None,
                f"its input {name} is {value.dtype} {list(value.shape)}, tokens of a sequence; "
                "ONNX files and designs are made of networks of images and vectors",
                "run the .tflite file itself, with LiteRT and the delegate: onebit run",
            )
