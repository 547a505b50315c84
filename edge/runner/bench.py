"""The two actions that run a model."""

import gc
import time

import numpy as np

from .conditions import conditions
from .cores import pin
from .energy import measure_energy
from .errors import RequestError
from .inputs import (
    data_inputs,
    load_samples,
    output_digest,
    random_inputs,
    save_outputs,
    stack_outputs,
)
from .machine import is_virtual_machine
from .memory import peak_memory, reset_peak_memory
from .profiling import MAX_PROFILED_RUNS, profile_delegate
from .runtimes import import_runtime
from .timing import cool_down, take_samples, warm_up


def bench(request):
    """Loads, warms up and measures as the request says; returns the answer's fields."""
    cpus = pin(request.get("affinity"))
    rng = np.random.default_rng(request["seed"])
    # Written to, so that its pages are in the baseline and not counted as the model's memory.
    buffer = np.full((2, request["max_samples"]), -1, dtype=np.int64)
    cooled_seconds = cool_down(request.get("cooldown_seconds", 0.0))

    start = time.perf_counter_ns()
    interpreter = import_runtime(request["runtime"])
    import_ns = time.perf_counter_ns() - start
    gc.collect()
    baseline_bytes, refused = reset_peak_memory()

    content, load_ns, prepare_ns = load(interpreter, request)
    inputs = random_inputs(rng, interpreter.inputs)
    start = time.perf_counter_ns()
    outputs = [interpreter.run(inputs)]
    first_inference_ns = time.perf_counter_ns() - start

    gc.disable()
    # The warm-up is watched too: the samples of a small model are over too soon.
    before = conditions(cpus)
    warmup_runs, steady = warm_up(interpreter.run, inputs, request["warmup_seconds"])
    patience = request.get("patience") if is_virtual_machine() else None
    taken = take_samples(
        interpreter.run, inputs, buffer, request["min_runs"], request["min_seconds"], patience
    )
    after = conditions(cpus)
    gc.enable()
    peak_bytes = peak_memory() if baseline_bytes is not None else None

    energy = measure_energy(interpreter.run, inputs, request.get("energy_seconds", 0.0))
    profile = memory = None
    if request.get("delegate"):
        wanted = bool(request.get("profile_ops"))
        runs = min(taken["inferences"], MAX_PROFILED_RUNS) if wanted else 1
        profile = profile_delegate(request, content, inputs, runs)
        memory = profile.pop("memory")
        if not wanted:
            profile = None
    for _ in range(1, request["parity_inputs"]):
        outputs.append(interpreter.run(random_inputs(rng, interpreter.inputs)))
    stacked = stack_outputs(outputs)
    if request.get("outputs_path"):
        save_outputs(request["outputs_path"], stacked)
    return {
        "runtime_version": interpreter.version,
        "cpus": cpus,
        "cooled_seconds": cooled_seconds,
        "import_ns": import_ns,
        "load_ns": load_ns,
        "prepare_ns": prepare_ns,
        "first_inference_ns": first_inference_ns,
        "warmup_runs": warmup_runs,
        "warmup_steady": steady,
        "samples_ns": buffer[0, : taken["kept"]].tolist(),
        "every": taken["every"],
        "inferences": taken["inferences"],
        "elapsed_ns": taken["elapsed_ns"],
        "left_out": taken["left_out"],
        "baseline_bytes": baseline_bytes,
        "peak_bytes": peak_bytes,
        "memory_refused": refused,
        "delegate_memory": memory,
        "output_sha256": output_digest(stacked),
        "parity_inputs": len(outputs),
        "profile": profile,
        "energy": energy,
        "before": before,
        "after": after,
    }


def evaluate(request):
    """Runs every sample of the data, or the random inputs of `bench`, once; writes the outputs."""
    pin(request.get("affinity"))
    interpreter = import_runtime(request["runtime"])
    load(interpreter, request)
    if request.get("data_path"):
        samples = load_samples(request["data_path"])
        fed = data_inputs(samples, interpreter.inputs, interpreter.quantization)
    else:
        rng = np.random.default_rng(request["seed"])
        count = request["parity_inputs"]
        fed = (random_inputs(rng, interpreter.inputs) for _ in range(count))
    start = time.perf_counter()
    outputs = [interpreter.run(arrays) for arrays in fed]
    stacked = stack_outputs(outputs)
    save_outputs(request["outputs_path"], stacked)
    return {
        "runtime_version": interpreter.version,
        "inputs": len(outputs),
        "seconds": time.perf_counter() - start,
        "output_sha256": output_digest(stacked),
    }


def load(interpreter, request):
    """Builds and prepares the interpreter.

    Raises:
        RequestError: The runtime was made for another numpy.

    Returns:
        The file's content, the ns that reading and building took, and those of preparing, None
        where the runtime prepares while it is built.
    """
    start = time.perf_counter_ns()
    with open(request["model_path"], "rb") as file:
        content = file.read()
    options, delegate = request.get("options", {}), request.get("delegate")
    try:
        interpreter.load(content, request["threads"], options, delegate)
    except SystemError as error:  # a wheel that was compiled against a newer numpy
        raise RequestError(
            f"{interpreter.version} does not work with numpy {np.__version__} "
            f"({error.__cause__ or error}): install numpy 1.23 or newer"
        ) from error
    loaded = time.perf_counter_ns()
    interpreter.prepare()
    prepared = time.perf_counter_ns()
    return content, loaded - start, prepared - loaded if interpreter.prepares_apart else None
