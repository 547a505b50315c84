"""Runs one `.tflite` file on one runtime and prints what it measured as one JSON document.

This file stands alone, so that it can be copied to a Raspberry Pi: it needs Python 3.8, numpy and
one of ai-edge-litert, tflite-runtime, TensorFlow or larq-compute-engine, and nothing of Onebit.

    python runner.py request.json        # or the request on standard input
    echo '{"action": "probe"}' | python runner.py

A request is `{"action": "probe"}`, which describes the machine, or

    {"action": "bench", "model_path": "m.tflite", "runtime": "lce", "options": {}, "threads": 1,
     "delegate": {"library": "libonebit_delegate.so", "options": {}}, "seed": 0, "min_runs": 50,
     "min_seconds": 2.0, "max_runs": 20000, "warmup_seconds": 2.0, "parity_inputs": 8,
     "outputs_path": "outputs.npz"}

The answer is `{"status": "ok", ...}` or `{"status": "failed", "reason": "..."}`. It is the only
thing on standard output: what native libraries print meanwhile goes to standard error.
"""

# ruff: noqa: B905 - zip() takes `strict` from Python 3.10 on, and boards have older ones
import contextlib
import gc
import glob
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import struct
import sys
import tempfile
import time
from importlib import metadata

import numpy as np

WARMUP_WINDOW_RUNS = 10
WARMUP_WINDOW_SECONDS = 0.05
STEADY_TOLERANCE = 0.05
MAX_PROFILED_RUNS = 500

# fmt: off
ISA_FEATURES = (
    "sse4_2", "popcnt", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bitalg", "avx512_vpopcntdq", "avx_vnni",
    "neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)
# fmt: on


# ---- runtimes: each gives `run(inputs) -> outputs`, with the inputs' and outputs' description ----


class LceInterpreter:
    """Larq Compute Engine's own interpreter.

    Its extension module is loaded from its file, because importing the package also imports
    TensorFlow for the converter: 3 s and 300 MB that have nothing to do with inference.
    """

    package = "larq_compute_engine"
    options = ("use_reference_bconv", "use_indirect_bgemm", "use_xnnpack")

    def __init__(self):
        package = importlib.util.find_spec(self.package)
        if package is None or not package.submodule_search_locations:
            raise ImportError("no module named larq_compute_engine")
        folder = os.path.join(next(iter(package.submodule_search_locations)), "tflite", "python")
        found = glob.glob(os.path.join(glob.escape(folder), "interpreter_wrapper_lite*"))
        if not found:
            raise ImportError("larq_compute_engine has no interpreter_wrapper_lite in " + folder)
        name = "larq_compute_engine.tflite.python.interpreter_wrapper_lite"
        spec = importlib.util.spec_from_file_location(name, found[0])
        if spec is None or spec.loader is None:
            raise ImportError("no extension module that this Python loads: " + found[0])
        self._module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._module)
        self.version = package_version("larq-compute-engine")

    def load(self, content, threads, options, delegate=None):
        """Builds the interpreter and allocates its tensors."""
        if delegate:
            raise ValueError("Larq Compute Engine's interpreter takes no delegate")
        flags = [bool(options.get(option, False)) for option in self.options]
        self._interpreter = self._module.LiteInterpreter(content, threads, *flags)
        shapes, types = self._interpreter.input_shapes, self._interpreter.input_types
        self.inputs = [(tuple(s), np.dtype(t)) for s, t in zip(shapes, types)]
        self.run = self._interpreter.predict


class LiteRtInterpreter:
    """The stock interpreter of LiteRT (formerly TensorFlow Lite); XNNPACK is on by default.

    A delegate `{"library": path, "options": {}}` takes its ops first, XNNPACK what is left.
    """

    packages = (
        ("ai_edge_litert.interpreter", "ai-edge-litert"),
        ("tflite_runtime.interpreter", "tflite-runtime"),
        ("tensorflow.lite.python.interpreter", "tensorflow"),
    )

    def __init__(self):
        for module, distribution in self.packages:
            if importlib.util.find_spec(module.split(".")[0]) is not None:
                self._module = importlib.import_module(module)
                self.version = f"{distribution} {package_version(distribution)}"
                return
        raise ImportError("none of ai-edge-litert, tflite-runtime and tensorflow is installed")

    def load(self, content, threads, options, delegate=None):
        """Builds the interpreter and allocates its tensors."""
        delegates = []
        if delegate:
            options = dict(delegate["options"], num_threads=threads)
            delegates.append(self._module.load_delegate(delegate["library"], options))
        interpreter = self._module.Interpreter(
            model_content=content, num_threads=threads, experimental_delegates=delegates
        )
        interpreter.allocate_tensors()
        details = interpreter.get_input_details()
        self.inputs = [(tuple(int(n) for n in d["shape"]), np.dtype(d["dtype"])) for d in details]
        inputs = [d["index"] for d in details]
        outputs = [d["index"] for d in interpreter.get_output_details()]

        def run(arrays):
            for index, array in zip(inputs, arrays):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]

        self.run = run


RUNTIMES: dict = {"lce": LceInterpreter, "litert": LiteRtInterpreter}


def package_version(distribution):
    """The installed version of a package, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# ---- measuring ----


def random_inputs(rng, inputs):
    """One random array per input `(shape, dtype)`.

    Floats are uniform in [-1, 1), 8-bit integers cover their range, other integers are 0 or 1 (so
    that they are valid indices), booleans are fair coins.
    """
    arrays = []
    for shape, dtype in inputs:
        if dtype.kind == "f":
            array = rng.uniform(-1.0, 1.0, shape)
        elif dtype.itemsize == 1 and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            array = rng.integers(limits.min, limits.max, shape, endpoint=True)
        else:
            array = rng.integers(0, 2, shape)
        arrays.append(np.ascontiguousarray(array, dtype=dtype))
    return arrays


def is_steady(medians, tolerance=STEADY_TOLERANCE):
    """Whether the last two of the windows' medians agree within `tolerance` of the earlier one."""
    return len(medians) >= 2 and abs(medians[-1] - medians[-2]) <= tolerance * medians[-2]


def warm_up(run, inputs, limit_seconds):
    """Runs until two consecutive windows have the same median, for `limit_seconds` at most.

    A window is at least 10 runs and 50 ms: a processor needs tens of milliseconds to raise its
    clock, which ten runs of a small model do not last.

    Returns:
        The number of runs, and whether a steady state was reached.
    """
    start, runs = time.perf_counter(), 0
    medians: list = []
    while time.perf_counter() - start < limit_seconds:
        window: list = []
        window_start = time.perf_counter()
        while (
            len(window) < WARMUP_WINDOW_RUNS
            or time.perf_counter() - window_start < WARMUP_WINDOW_SECONDS
        ):
            before = time.perf_counter_ns()
            run(inputs)
            window.append(time.perf_counter_ns() - before)
            if time.perf_counter() - start >= limit_seconds:
                break
        runs += len(window)
        medians.append(float(np.median(window)))
        if len(window) >= WARMUP_WINDOW_RUNS and is_steady(medians):
            return runs, True
    return runs, False


def take_samples(run, inputs, buffer, min_runs, min_seconds):
    """Fills `buffer` with latencies in ns until there are `min_runs` and `min_seconds` have passed.

    Stops early when the buffer is full. Returns the number of samples.
    """
    clock = time.perf_counter_ns
    start, count = clock(), 0
    while count < len(buffer):
        before = clock()
        run(inputs)
        after = clock()
        buffer[count] = after - before
        count += 1
        if count >= min_runs and after - start >= min_seconds * 1e9:
            break
    return count


def output_digest(outputs):
    """The SHA-256 of a list of outputs: of each array's dtype, shape and bytes."""
    digest = hashlib.sha256()
    for array in outputs:
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def bench(request):
    """Loads, warms up and measures as the request says; returns the answer's fields."""
    if request["runtime"] not in RUNTIMES:
        raise ValueError("unknown runtime {!r}".format(request["runtime"]))
    rng = np.random.default_rng(request["seed"])
    # Written to, so that its pages are in the baseline and not counted as the model's memory.
    buffer = np.full(max(request["max_runs"], request["min_runs"]), -1, dtype=np.int64)

    start = time.perf_counter_ns()
    interpreter = RUNTIMES[request["runtime"]]()
    import_ns = time.perf_counter_ns() - start
    gc.collect()
    baseline_bytes = reset_peak_memory()

    start = time.perf_counter_ns()
    with open(request["model_path"], "rb") as file:
        content = file.read()
    interpreter.load(
        content, request["threads"], request.get("options", {}), request.get("delegate")
    )
    load_ns = time.perf_counter_ns() - start

    inputs = random_inputs(rng, interpreter.inputs)
    start = time.perf_counter_ns()
    outputs = [interpreter.run(inputs)]
    first_inference_ns = time.perf_counter_ns() - start

    gc.disable()
    # The warm-up is part of what is watched: samples of a small model alone last too short to tell.
    before = conditions()
    warmup_runs, steady = warm_up(interpreter.run, inputs, request["warmup_seconds"])
    count = take_samples(
        interpreter.run, inputs, buffer, request["min_runs"], request["min_seconds"]
    )
    after = conditions()
    gc.enable()
    peak_bytes = peak_memory() if baseline_bytes is not None else None

    profile = None
    if request.get("profile_ops") and request.get("delegate"):
        profile = profile_ops(request, content, inputs, min(count, MAX_PROFILED_RUNS))
    for _ in range(1, request["parity_inputs"]):
        outputs.append(interpreter.run(random_inputs(rng, interpreter.inputs)))
    stacked = [np.stack(arrays) for arrays in zip(*outputs)]
    if request.get("outputs_path"):
        np.savez(request["outputs_path"], **{f"output_{i}": a for i, a in enumerate(stacked)})
    return {
        "runtime_version": interpreter.version,
        "import_ns": import_ns,
        "load_ns": load_ns,
        "first_inference_ns": first_inference_ns,
        "warmup_runs": warmup_runs,
        "warmup_steady": steady,
        "samples_ns": buffer[:count].tolist(),
        "baseline_bytes": baseline_bytes,
        "peak_bytes": peak_bytes,
        "output_sha256": output_digest(stacked),
        "parity_inputs": len(outputs),
        "profile": profile,
        "before": before,
        "after": after,
    }


def profile_ops(request, content, inputs, runs):
    """Times each op in a second interpreter, apart from the samples: taking the times costs time.

    Returns:
        `{"runs", "total_ns", "ops"}` with means per run; an op that the delegate left to the
        runtime has no time of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ops.json")
        delegate = dict(request["delegate"])
        delegate["options"] = dict(delegate["options"], profile=path)
        interpreter = RUNTIMES[request["runtime"]]()
        interpreter.load(content, request["threads"], request.get("options", {}), delegate)
        start = time.perf_counter_ns()
        for _ in range(runs):
            interpreter.run(inputs)
        total_ns = (time.perf_counter_ns() - start) / runs
        del interpreter
        gc.collect()  # the delegate writes its profile when it is freed
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    ops = []
    for op in told["delegated"]:
        mean_ns = op["time_ns"] / max(op["calls"], 1)
        names = "+".join([op["op"], *op["merged"]])
        ops.append(
            {"node": op["node"], "op": names, "kernel": op["kernel"], "macs": op["macs"],
             "time_ns": mean_ns}
        )  # fmt: skip
    for op in told["not_delegated"]:
        ops.append({"node": op["node"], "op": op["op"]})
    ops.sort(key=lambda op: op["node"])
    return {"runs": runs, "total_ns": total_ns, "ops": ops}


# ---- the machine; everything that it does not tell is None ----


def read_text(path):
    """A small file's text without surrounding blanks and NULs, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip(" \t\r\n\0") or None
    except OSError:
        return None


def read_number(path, scale=1.0):
    """A number in a file, times `scale`, or None."""
    try:
        return float(read_text(path) or "") * scale
    except ValueError:
        return None


def status_bytes(field):
    """A field of /proc/self/status that is given in kB, in bytes, or None."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def peak_memory():
    """The process's high-water mark of resident memory in bytes, or None."""
    return status_bytes("VmHWM")


def reset_peak_memory():
    """Sets the high-water mark back to what is resident now; that in bytes, or None if refused."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return None
    return peak_memory()


def cpu_seconds():
    """Seconds that all cores together were (busy, stolen by the hypervisor), or (None, None)."""
    fields = (read_text("/proc/stat") or "").split("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(n) for n in fields[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def conditions():
    """What may disturb a measurement, at this moment."""
    busy, stolen = cpu_seconds()
    cpu = "/sys/devices/system/cpu/cpu0/"
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        load = None
    flags = read_text("/sys/devices/platform/soc/soc:firmware/get_throttled")
    return {
        "wall_seconds": time.perf_counter(),
        "process_cpu_seconds": time.process_time(),
        "busy_cpu_seconds": busy,
        "stolen_cpu_seconds": stolen,
        "load_1min": load,
        "clock_mhz": read_number(cpu + "cpufreq/scaling_cur_freq", 1e-3),
        "temperature_c": read_number("/sys/class/thermal/thermal_zone0/temp", 1e-3),
        "throttle_count": read_number(cpu + "thermal_throttle/core_throttle_count"),
        # Raspberry Pi: bits 0-3 say under-voltage, capped, throttled, hot at this moment.
        "throttle_flags": int(flags, 16) & 0xF if flags else None,
    }


def probe():
    """Describes the machine."""
    cpuinfo: dict = {}
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        cpuinfo.setdefault(key.strip(), value.strip())
    machine = platform.machine()
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    name = cpuinfo.get("model name") or cpuinfo.get("Hardware")
    if not name and cpuinfo.get("CPU part"):
        name = "CPU part {} of implementer {}".format(
            cpuinfo["CPU part"], cpuinfo.get("CPU implementer", "?")
        )
    release: dict = {}
    for line in (read_text("/etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        release[key] = value.strip("\"'")
    now = conditions()
    return {
        "cpu": name or platform.processor() or None,
        "board": read_text("/proc/device-tree/model"),
        "architecture": machine,
        "isa": [feature for feature in ISA_FEATURES if feature in flags],
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clock_mhz": now["clock_mhz"],
        "temperature_c": now["temperature_c"],
        "load_1min": now["load_1min"],
        "os": release.get("PRETTY_NAME") or platform.platform(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "user_space_bits": struct.calcsize("P") * 8,
        "virtual_machine": "hypervisor" in flags,
        # User-mode emulators show the host's x86 /proc/cpuinfo to an ARM process.
        "emulated": ("vendor_id" in cpuinfo and machine not in ("x86_64", "i686", "AMD64"))
        or "QEMU" in (name or ""),
    }


ACTIONS = {"probe": lambda request: probe(), "bench": bench}


@contextlib.contextmanager
def stdout_kept_clean():
    """Yields a stream for the answer, while everything else that goes to fd 1 lands on fd 2."""
    sys.stdout.flush()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield answer
    finally:
        answer.close()


def main(arguments):
    """Answers the request in the file that is named, or on standard input."""
    # Python puts this file's folder first on the path; what lies there is no library.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    with stdout_kept_clean() as answer:
        try:
            text = read_text(arguments[0]) if arguments else sys.stdin.read()
            request = json.loads(text or "")
            document = {"status": "ok"}
            document.update(ACTIONS[request["action"]](request))
        except Exception as error:  # the harness makes a row of it, whatever it is
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = type(error).__name__ + (": " + lines[0] if lines else "")
            document = {"status": "failed", "reason": reason}
        json.dump(document, answer, allow_nan=False)
        answer.write("\n")
    return 0 if document["status"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
