"""Runs saved graphs on a stock interpreter with the delegate, and compares them bit for bit.

    python run_cases.py FOLDER [SETTING ...]

It needs NumPy, `onebit_delegate` and a runtime only, so that it also runs on boards and beside
other runtimes. A setting is JSON: the arguments of `onebit_delegate.load`. Prints what differs, and
last the number of inferences.
"""

import json
import pathlib
import sys

import numpy as np


def run_options(runtime, runs):
    """Options of the interpreter: XNNPACK refuses batches without images, or gives wrong shapes.

    LiteRT's own kernels, without XNNPACK and without any delegate, compute wrong numbers where they
    share memory: of MUL → MUL → RESHAPE → ADD the last writes over the product, whoever reads that
    later. So there every tensor keeps its memory.
    """
    if all(x.size for inputs, _ in runs for x in inputs):
        return {}
    kind = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return {"experimental_op_resolver_type": kind, "experimental_preserve_all_tensors": True}


def check(runtime, model, runs, **setting):
    """Runs a graph with inputs of all its shapes, then with the first again.

    Returns:
        What differs, or None; and the number of inferences.
    """
    import onebit_delegate

    interpreter = runtime.Interpreter(
        model_content=model,
        experimental_delegates=[onebit_delegate.load(**setting)],
        **run_options(runtime, runs),
    )
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    shapes = [tuple(source["shape"]) for source in sources]
    for count, (inputs, outputs) in enumerate([*runs, *runs[:1]], 1):
        for i, x in enumerate(inputs):
            if shapes[i] != x.shape:
                interpreter.resize_tensor_input(sources[i]["index"], x.shape)
                shapes[i] = x.shape
        interpreter.allocate_tensors()
        for source, x in zip(sources, inputs, strict=True):
            interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        for i, expected in enumerate(outputs):
            found = interpreter.get_tensor(targets[i]["index"])
            if found.shape != expected.shape:
                return f"output {i} has shape {found.shape}, not {expected.shape}", count
            # Values, as the order of operands may change the sign of a zero sum.
            if not np.array_equal(found, expected):
                wrong = int(np.sum(found != expected))
                where = [x.shape for x in inputs]
                return f"output {i} has {wrong} wrong values of {found.size}, run {where}", count
    return None, len(runs) + 1


def check_safely(runtime, model, runs, setting):
    """That, with an error of the interpreter as a difference."""
    try:
        return check(runtime, model, runs, **setting)
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}", 0


def save(folder, name, model, runs):
    """Writes a graph and its runs for `main`."""
    (pathlib.Path(folder) / f"{name}.tflite").write_bytes(model)
    arrays = {}
    for r, (inputs, outputs) in enumerate(runs):
        arrays.update({f"{r}.in.{i}": x for i, x in enumerate(inputs)})
        arrays.update({f"{r}.out.{i}": x for i, x in enumerate(outputs)})
    np.savez(pathlib.Path(folder) / f"{name}.npz", **arrays)


def load(path):
    """The runs of a saved graph."""
    with np.load(path.with_suffix(".npz")) as arrays:
        found = dict(arrays)
    runs = []
    for r in range(1 + max(int(key.split(".")[0]) for key in found)):
        sides = []
        for side in ("in", "out"):
            count = sum(key.startswith(f"{r}.{side}.") for key in found)
            sides.append([found[f"{r}.{side}.{i}"] for i in range(count)])
        runs.append(tuple(sides))
    return runs


def main():
    """Runs the graphs of a folder with each setting."""
    import onebit_delegate

    runtime, total = onebit_delegate._runtime(), 0
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
        for setting in map(json.loads, sys.argv[2:] or ["{}"]):
            difference, count = check_safely(runtime, path.read_bytes(), load(path), setting)
            total += count
            if difference:
                print(f"DIFFERENCE {path.stem} {setting}: {difference}", flush=True)
    print(f"{runtime.__name__}: {total} inferences")


if __name__ == "__main__":
    main()
