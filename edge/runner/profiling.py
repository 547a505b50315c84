"""The delegate's own report: the time of each op, and the memory that it holds."""

import gc
import json
import os
import tempfile
import time

from .runtimes import import_runtime

MAX_PROFILED_RUNS = 500


def profile_delegate(request, content, inputs, runs):
    """Runs a second interpreter after the samples, since taking each op's time costs time.

    Returns:
        `{"runs", "total_ns", "ops", "memory"}` with means per run; an op that the delegate left to
        the runtime has no time. `memory` is None for libraries that do not report it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ops.json")
        delegate = dict(request["delegate"])
        delegate["options"] = dict(delegate["options"], profile=path)
        interpreter = import_runtime(request["runtime"])
        interpreter.load(content, request["threads"], request.get("options", {}), delegate)
        interpreter.prepare()
        start = time.perf_counter_ns()
        for _ in range(runs):
            interpreter.run(inputs)
        total_ns = (time.perf_counter_ns() - start) / runs
        del interpreter
        gc.collect()  # the delegate writes its profile when it is freed
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    ops = []
    for op in report["delegated"]:
        mean_ns = op["time_ns"] / max(op["calls"], 1)
        names = "+".join([op["op"], *op["merged"]])
        ops.append(
            {"node": op["node"], "op": names, "kernel": op["kernel"], "macs": op["macs"],
             "time_ns": mean_ns}
        )  # fmt: skip
    for op in report["not_delegated"]:
        ops.append({"node": op["node"], "op": op["op"]})
    ops.sort(key=lambda op: op["node"])
    return {"runs": runs, "total_ns": total_ns, "ops": ops, "memory": report.get("memory")}
