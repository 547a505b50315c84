"""The result row: one benchmark cell, whether it succeeded or not.

Everything that shows results (table, CSV, page) derives from `Row`. Durations are in nanoseconds
and sizes in bytes, as the names say. What is not known is None, written as null; there is no NaN.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 2
"""2 moved the readings at single moments into `disturbance`'s `before` and `after`; 1 is read."""

OK, INVALID, FAILED, SKIPPED = STATUSES = ("ok", "invalid", "failed", "skipped")
"""Measured and trusted; measured but disturbed; broken; not attempted. All but `ok` say why."""


@dataclass(frozen=True)
class Run:
    """One call of the benchmark; `id` is shared by all of its rows."""

    id: str
    timestamp: str
    command: str
    onebit_version: str
    git_commit: str | None = None


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind; `capacity` is their speed as the scheduler sees it, at most 1024."""

    cpus: tuple[int, ...]
    capacity: int | None = None
    max_mhz: float | None = None
    core: str | None = None


@dataclass(frozen=True)
class Host:
    """The machine that ran the model.

    `device` is the user's name for it, without an address; `kind` is how it was reached: local,
    ssh, adb, mcu (emulated) or serial. `clusters` has the most powerful cores first. Times and
    memory of an `emulated` host say nothing about a real one: its rows are never `ok`.
    """

    device: str
    kind: str | None = None
    cpu: str | None = None
    board: str | None = None
    architecture: str | None = None
    isa: tuple[str, ...] = ()
    cores: int | None = None
    clusters: tuple[Cluster, ...] = ()
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
class NotBinary:
    """Layers of one kind that are not binary for one reason, from the conversion report.

    `kind` is `float`, `int8` or `binary weights`; `macs` are theirs together.
    """

    kind: str
    reason: str
    layers: tuple[str, ...]
    macs: int
    fix: str | None = None


@dataclass(frozen=True)
class Model:
    """The file, with figures from its conversion report."""

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
    not_binary: tuple[NotBinary, ...] = ()


@dataclass(frozen=True)
class Setup:
    """The backend that ran the model, and how; `name` is its name in `--runtime`, such as `lce`.

    `mode` is how long it was measured (`edge.bench.measurement.MODES`), `affinity` the cores that
    were asked for, and `cpus` those that it might use. Rows of one call with the same `repetition`
    were measured one after the other.
    """

    name: str
    runtime: str
    kernel: str
    threads: int
    runtime_version: str | None = None
    delegate: str | None = None
    seed: int = 0
    warmup_runs: int | None = None
    warmup_steady: bool | None = None
    mode: str | None = None
    affinity: str | None = None
    cpus: tuple[int, ...] = ()
    repetition: int = 1


@dataclass(frozen=True)
class ColdStart:
    """Costs that a program pays once: import, loading, preparing, the first inference.

    Loading is reading the file and building the interpreter; preparing, allocating tensors and
    packing weights. Where a runtime does both at once, `prepare_ns` is None and in `load_ns`. A
    program that has its runtime built in imports nothing.
    """

    import_ns: int | None
    load_ns: int
    first_inference_ns: int
    prepare_ns: int | None = None


@dataclass(frozen=True)
class Summary:
    """Statistics of `samples_ns`; `edge.bench.measurement.summarise` defines them.

    Of `inferences`, every `every`-th one was kept as a sample: `runs` of them. All inferences took
    `seconds`.
    """

    runs: int
    min_ns: float
    p50_ns: float
    p90_ns: float
    p99_ns: float
    spread: float
    p50_low_ns: float | None = None
    p50_high_ns: float | None = None
    p90_low_ns: float | None = None
    p90_high_ns: float | None = None
    inferences: int | None = None
    every: int = 1
    seconds: float | None = None
    throughput_per_s: float | None = None


@dataclass(frozen=True)
class Aggregates:
    """Summary statistics of a program that reports no samples (`edge/bench/benchmark_model.py`).

    They take the place of `summary`; the median is None where the program does not report it.
    """

    runs: int
    mean_ns: float
    min_ns: float
    max_ns: float
    std_ns: float
    p50_ns: float | None = None


@dataclass(frozen=True)
class Memory:
    """Resident memory: after importing the runtime, at its peak, and the difference.

    These three are None where the system refuses to reset the peak, and `refused` says why.
    `arena_bytes` are the runtime's tensors, where it reports them; the delegate's own tensors and
    packed weights are part of the resident memory too.
    """

    baseline_bytes: int | None = None
    peak_bytes: int | None = None
    above_baseline_bytes: int | None = None
    refused: str | None = None
    arena_bytes: int | None = None
    delegate_arena_bytes: int | None = None
    delegate_constant_bytes: int | None = None


@dataclass(frozen=True)
class Parity:
    """The outputs for the seeded random inputs, compared with a reference for the same file.

    `reference` is the host's backend, else the first one that succeeded; None for that one itself.
    `argmax_agreement` is None where the outputs are not one vector of classes.
    """

    output_sha256: str
    inputs: int
    reference: str | None = None
    max_abs_difference: float | None = None
    argmax_agreement: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Results on the labelled data: on the device, and compared with a reference on the host.

    `data` names the samples, and `sha256` is that of their inputs as the model gets them.
    `reference` is the host's backend; differences are over all outputs of all samples. Accuracies
    are fractions of 1, None without labels.
    """

    data: str
    sha256: str
    samples: int
    split: str | None = None
    accuracy: float | None = None
    reference: str | None = None
    reference_accuracy: float | None = None
    argmax_agreement: float | None = None
    max_abs_difference: float | None = None


@dataclass(frozen=True)
class Conditions:
    """Readings at one moment on the host; None where they are unknown.

    `clock_mhz` is that of the slowest core that the process might use. `throttling` names the
    causes that hold the clock down at this moment.
    """

    load_1min: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    governor: str | None = None
    throttling: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disturbance:
    """Other activity during warm-up and samples; None where it is unknown.

    `other_cores` is the mean number of cores that other processes kept busy, `stolen_cores` the
    mean number that the hypervisor gave to other machines. `left_out` is the share of the time
    whose samples are not in the row, since all of them were slow at once
    (`edge.runner.timing.take_samples`).
    """

    other_cores: float | None = None
    stolen_cores: float | None = None
    left_out: float | None = None
    throttled: bool | None = None
    before: Conditions | None = None
    after: Conditions | None = None


@dataclass(frozen=True)
class Energy:
    """Energy that a meter of the board counted while inferences ran one after the other.

    `source` names the meter, and so what it covers (`edge/runner/energy.py`). `idle_watts` is its
    reading while nothing ran; it is not subtracted.
    """

    source: str
    joules: float
    seconds: float
    inferences: int
    joules_per_inference: float
    idle_watts: float | None = None


@dataclass(frozen=True)
class OpTime:
    """One op of the file with its mean time; None where the runtime ran it, which reports none.

    `op` joins the ops that the delegate merged; `kernel` is the delegate's variant.
    """

    node: int
    op: str
    kernel: str | None = None
    macs: int | None = None
    time_ns: float | None = None


@dataclass(frozen=True)
class Profile:
    """Times of the delegate's ops, in separate runs; `total_ns` is the mean of a whole run."""

    runs: int
    total_ns: float
    ops: tuple[OpTime, ...]


@dataclass(frozen=True)
class Firmware:
    """A network in C on a microcontroller (`edge/boards`): sizes, and executed instructions.

    `code_bytes` and `constant_bytes` are flash, those of the network, its kernels and what they
    need of the compiler's library; the harness is left out. `stack_bytes` is how deep one inference
    was measured to go. `instructions` are those that each inference executed under the emulator;
    they are exact, and are not times. `cycles` come from a real board's counter; flash and stack
    are not known there.
    """

    code_bytes: int | None
    constant_bytes: int | None
    arena_bytes: int
    stack_bytes: int | None
    input_bytes: int
    instructions: tuple[int, ...] = ()
    cycles: tuple[int, ...] = ()
    compiler: str | None = None
    emulator: str | None = None
    vectors_agree: bool | None = None
    same_as_host: bool | None = None


@dataclass(frozen=True)
class Instructions:
    """Instructions that inferences executed in user space, which other processes don't move.

    `counts` has one number for each inference that was counted, `counter` names what counted: the
    kernel, or an emulator with the processor that it stands for. `refused` says why the kernel
    counted none, and what would help; without counts, why the emulator didn't either. They are not
    times.
    """

    counts: tuple[int, ...] = ()
    counter: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Row:
    """One cell of the benchmark: a model on a backend on a host."""

    run: Run
    host: Host
    model: Model
    setup: Setup
    status: str
    reason: str | None = None
    cold_start: ColdStart | None = None
    samples_ns: tuple[int, ...] = ()
    summary: Summary | None = None
    aggregates: Aggregates | None = None
    memory: Memory | None = None
    parity: Parity | None = None
    evaluation: Evaluation | None = None
    disturbance: Disturbance | None = None
    energy: Energy | None = None
    profile: Profile | None = None
    firmware: Firmware | None = None
    instructions: Instructions | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}, not one of {', '.join(STATUSES)}")
        if self.status != OK and not self.reason:
            raise ValueError(f"a row that is {self.status} needs a reason")
