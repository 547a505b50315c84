"""Backends that can run a model: runtime and kernel, by the names that `--runtime` takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onebit.errors import UsageError, near_matches


@dataclass(frozen=True)
class Backend:
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

BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("lce", "lce", "default", f"{_LCE}, default kernels", True),
        Backend(
            "lce:indirect_bgemm",
            "lce",
            "indirect_bgemm",
            f"{_LCE}, indirect binary GEMM for LceBconv2d",
            True,
            {"use_indirect_bgemm": True},
        ),
        Backend(
            "lce:xnnpack",
            "lce",
            "xnnpack",
            f"{_LCE}, XNNPACK for the ops that are not binary",
            True,
            {"use_xnnpack": True},
        ),
        Backend(
            "lce:reference",
            "lce",
            "reference",
            f"{_LCE}, its readable and slow LceBconv2d",
            True,
            {"use_reference_bconv": True},
        ),
        Backend("litert", "litert", "xnnpack", "stock LiteRT (TensorFlow Lite), XNNPACK", False),
        Backend(
            "litert:delegate",
            "litert",
            "delegate",
            "stock LiteRT with Onebit's delegate; XNNPACK for the other ops",
            True,
            with_delegate=True,
        ),
    )
}


def find_backends(names: Iterable[str]) -> list[Backend]:
    """The backends of these names, each once, in the order given.

    Raises:
        UsageError: A name is unknown; the hint gives near ones.
    """
    found: dict[str, Backend] = {}
    for name in names:
        if name not in BACKENDS:
            raise UsageError(f"no runtime {name!r}", hint=near_matches(name, BACKENDS))
        found[name] = BACKENDS[name]
    return list(found.values())


def default_backends(
    has_lce_ops: bool, has_delegate: bool, runtimes: frozenset[str]
) -> list[Backend]:
    """The default: every backend at hand that can run the file.

    Args:
        has_lce_ops: Whether the file has ops of Larq Compute Engine.
        has_delegate: Whether there is a delegate for the device.
        runtimes: Those that the device has.
    """
    if not has_lce_ops:
        names = ["lce", "litert"]
    else:
        names = ["lce", "lce:indirect_bgemm", *(["litert:delegate"] if has_delegate else [])]
    return [backend for backend in find_backends(names) if backend.runtime in runtimes]
