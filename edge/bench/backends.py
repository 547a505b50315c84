"""What can run a model: runtime and kernel, by the names that `--runtime` takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onebit.errors import UsageError, near_matches


@dataclass(frozen=True)
class RuntimeSetup:
    """A runtime of the runner with one choice of its options.

    `name` is `runtime` or `runtime:kernel`; `options` go to the runner as they are. With
    `with_delegate` the runtime gets Onebit's delegate.
    """

    name: str
    runtime: str
    kernel: str
    description: str
    runs_lce_ops: bool
    options: Mapping[str, bool] = field(default_factory=dict)
    with_delegate: bool = False


_LCE = "Larq Compute Engine's interpreter"

SETUPS = {
    setup.name: setup
    for setup in (
        RuntimeSetup("lce", "lce", "default", f"{_LCE}, default kernels", True),
        RuntimeSetup(
            "lce:indirect_bgemm",
            "lce",
            "indirect_bgemm",
            f"{_LCE}, indirect binary GEMM for LceBconv2d",
            True,
            {"use_indirect_bgemm": True},
        ),
        RuntimeSetup(
            "lce:xnnpack",
            "lce",
            "xnnpack",
            f"{_LCE}, XNNPACK for the ops that are not binary",
            True,
            {"use_xnnpack": True},
        ),
        RuntimeSetup(
            "lce:reference",
            "lce",
            "reference",
            f"{_LCE}, its readable and slow LceBconv2d",
            True,
            {"use_reference_bconv": True},
        ),
        RuntimeSetup(
            "litert", "litert", "xnnpack", "stock LiteRT (TensorFlow Lite), XNNPACK", False
        ),
        RuntimeSetup(
            "litert:delegate",
            "litert",
            "delegate",
            "stock LiteRT with Onebit's delegate; XNNPACK for what it leaves",
            True,
            with_delegate=True,
        ),
    )
}


def find_setups(names: Iterable[str]) -> list[RuntimeSetup]:
    """The setups of these names, each once, in the order given.

    Raises:
        UsageError: A name is unknown; the message gives near ones.
    """
    found: dict[str, RuntimeSetup] = {}
    for name in names:
        if name not in SETUPS:
            raise UsageError(f"no runtime {name!r}; {near_matches(name, SETUPS)}")
        found[name] = SETUPS[name]
    return list(found.values())


EVERYTHING = frozenset({"lce", "litert"})
"""The runtimes of a full installation."""


def default_setups(
    has_lce_ops: bool, has_delegate: bool, runtimes: frozenset[str] = EVERYTHING
) -> list[RuntimeSetup]:
    """What is run when nothing is asked for: everything at hand that can run the file.

    Args:
        has_lce_ops: Whether the file has ops of Larq Compute Engine.
        has_delegate: Whether there is a delegate for the device.
        runtimes: Those that the device has.
    """
    if not has_lce_ops:
        names = ["lce", "litert"]
    else:
        names = ["lce", "lce:indirect_bgemm", *(["litert:delegate"] if has_delegate else [])]
    return [setup for setup in find_setups(names) if setup.runtime in runtimes]
