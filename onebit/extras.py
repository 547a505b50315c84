"""The optional parts of an installation, and what to say when one is missing."""

import sys

from onebit.errors import OnebitError

EXTRA_OF = {
    "tensorflow": "train",
    "tf_keras": "train",
    "larq": "train",
    "larq_zoo": "train",
    "larq_compute_engine": "train",
    "mlxtend": "train",
    "sklearn": "train",
    "sentencepiece": "train",
    "debian": "train",
    "matplotlib": "png",
    "PIL": "png",
    "onnx": "fpga",
}
"""Top-level module → the extra of pyproject.toml that installs it."""


def missing_extra(error: ModuleNotFoundError) -> OnebitError | None:
    """The error for a module of an extra that is not installed; None for any other module."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(module)
    if extra is None:
        return None
    if extra == "train" and sys.version_info >= (3, 13):
        version = ".".join(map(str, sys.version_info[:2]))
        return OnebitError(
            f"this needs {module}, and Larq Compute Engine has no packages for Python {version}",
            hint="use Python 3.10, 3.11 or 3.12 and install onebit[train] there",
            reason="missing-extra",
        )
    return OnebitError(
        f"this needs {module}, which is not installed",
        hint=f"install Onebit with its extra {extra}: pip install '.[{extra}]' in a checkout, or "
        f"the wheel's file name followed by [{extra}]",
        reason="missing-extra",
    )
