"""Refusals of FPGA and ONNX targets: a layer, the reason and the way out."""

from convert.errors import ConversionError
from convert.targets.network import Operator


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
