"""The result row: one benchmark cell, whether it succeeded or not.

Everything that shows results (table, CSV, page) derives from `Row`. Durations are in nanoseconds
and sizes in bytes, as the names say. What is not known is None, written as null; there is no NaN.
"""

import dataclasses
import functools
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1

OK, INVALID, FAILED, SKIPPED = STATUSES = ("ok", "invalid", "failed", "skipped")
"""Measured and trusted; measured but disturbed; broke; not attempted. All but `ok` say why."""


@dataclass(frozen=True)
class Run:
    """One call of the benchmark; `id` is shared by all of its rows."""

    id: str
    timestamp: str
    command: str
    onebit_version: str
    git_commit: str | None = None


@dataclass(frozen=True)
class Host:
    """The machine that ran the model."""

    device: str
    cpu: str | None = None
    board: str | None = None
    architecture: str | None = None
    isa: tuple[str, ...] = ()
    cores: int | None = None
    memory_bytes: int | None = None
    governor: str | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    load_1min: float | None = None
    os: str | None = None
    kernel: str | None = None
    python: str | None = None
    user_space_bits: int | None = None
    virtual_machine: bool | None = None
    emulated: bool | None = None


@dataclass(frozen=True)
class Verification:
    """How the file compared with Keras when it was converted; accuracies are fractions of 1."""

    verdict: str | None = None
    samples: int | None = None
    split: str | None = None
    accuracy_keras: float | None = None
    accuracy_file: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Model:
    """The file, and what its conversion report says of it."""

    name: str
    file: str
    sha256: str
    size_bytes: int
    lce_ops: tuple[str, ...] = ()
    weight_bytes: int | None = None
    float32_bytes: int | None = None
    binary_macs: int | None = None
    binary_weight_macs: int | None = None
    int8_macs: int | None = None
    float_macs: int | None = None
    verification: Verification | None = None


@dataclass(frozen=True)
class Setup:
    """What ran the model; `name` is what `--runtime` calls it, such as `lce:indirect_bgemm`."""

    name: str
    runtime: str
    kernel: str
    threads: int
    runtime_version: str | None = None
    delegate: str | None = None
    seed: int = 0
    warmup_runs: int | None = None
    warmup_steady: bool | None = None


@dataclass(frozen=True)
class ColdStart:
    """What a program pays once: importing the runtime, loading and preparing, the first call."""

    import_ns: int
    load_ns: int
    first_inference_ns: int


@dataclass(frozen=True)
class Summary:
    """Statistics of `samples_ns`; `edge.measurement.summarise` defines them."""

    runs: int
    min_ns: float
    p50_ns: float
    p90_ns: float
    p99_ns: float
    spread: float
    p50_low_ns: float | None = None
    p50_high_ns: float | None = None


@dataclass(frozen=True)
class Memory:
    """Resident memory: after importing the runtime, at its peak, and the difference."""

    baseline_bytes: int
    peak_bytes: int
    above_baseline_bytes: int


@dataclass(frozen=True)
class Parity:
    """The outputs for the seeded random inputs, against another setup that ran the same file.

    `reference` is None in the first setup that succeeded, to which the others are compared.
    `argmax_agreement` is None where the outputs are not one vector of classes.
    """

    output_sha256: str
    inputs: int
    reference: str | None = None
    max_abs_difference: float | None = None
    argmax_agreement: float | None = None


@dataclass(frozen=True)
class Disturbance:
    """What else happened during warm-up and samples; None where the system does not tell.

    `other_cores` is how many cores other processes kept busy on average, `stolen_cores` how many
    the hypervisor gave to other machines.
    """

    other_cores: float | None = None
    stolen_cores: float | None = None
    load_before: float | None = None
    load_after: float | None = None
    temperature_before_c: float | None = None
    temperature_after_c: float | None = None
    throttled: bool | None = None


@dataclass(frozen=True)
class OpTime:
    """One op of the file: its mean time, or None where the runtime ran it and tells none.

    `op` joins the ops that the delegate merged; `kernel` is the delegate's variant.
    """

    node: int
    op: str
    kernel: str | None = None
    macs: int | None = None
    time_ns: float | None = None


@dataclass(frozen=True)
class Profile:
    """Times of the delegate's ops, in runs of their own; `total_ns` is the mean of a whole run."""

    runs: int
    total_ns: float
    ops: tuple[OpTime, ...]


@dataclass(frozen=True)
class Row:
    """One cell of the benchmark: a model on a setup on a host."""

    run: Run
    host: Host
    model: Model
    setup: Setup
    status: str
    reason: str | None = None
    cold_start: ColdStart | None = None
    samples_ns: tuple[int, ...] = ()
    summary: Summary | None = None
    memory: Memory | None = None
    parity: Parity | None = None
    disturbance: Disturbance | None = None
    profile: Profile | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}, not one of {', '.join(STATUSES)}")
        if self.status != OK and not self.reason:
            raise ValueError(f"a row that is {self.status} needs a reason")


def to_json(row: Row) -> str:
    """The row as one line of JSON.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(dataclasses.asdict(row), allow_nan=False)


def from_json(line: str) -> Row:
    """The row that a line of JSON holds; fields that this version does not know are ignored.

    Raises:
        ValueError: The line is not JSON, a field is missing or of the wrong kind, or the row was
            written by a newer schema than `SCHEMA_VERSION`.
    """
    content = json.loads(line, parse_constant=_refuse_constant)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(
            f"it has schema_version {version} and this Onebit reads up to {SCHEMA_VERSION}; "
            "update Onebit"
        )
    return _decode(Row, content, "row")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that a row may hold")


@functools.cache
def _field_types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any, where: str) -> Any:
    """`value` from JSON as a `kind`: dataclass, tuple, optional or plain type."""
    if typing.get_origin(kind) is types.UnionType:  # always `X | None` here
        inner = next(option for option in typing.get_args(kind) if option is not types.NoneType)
        return None if value is None else _decode(inner, value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} is not a list")
        element = typing.get_args(kind)[0]
        return tuple(_decode(element, item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{where} is not of type {kind.__name__}")
    return value


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    hints, known = _field_types(kind), {}
    for field in dataclasses.fields(kind):
        path = f"{where}.{field.name}".removeprefix("row.")
        if field.name in value:
            known[field.name] = _decode(hints[field.name], value[field.name], path)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path} is missing")
    return kind(**known)
