"""The runtimes: each is built from a file's content, prepared once, then run.

A runtime has `version`; after `load` and `prepare` it has `inputs`, a list of `(shape, dtype)`,
`quantization`, a list of `(scale, zero point)`, and `run(arrays) -> outputs`.
"""

# ruff: noqa: B905 - zip() takes `strict` from Python 3.10 on, and boards have older ones
import glob
import importlib
import importlib.util
import os
from importlib import metadata

import numpy as np


class LceInterpreter:
    """Larq Compute Engine's own interpreter.

    Its extension module is loaded from its file, because importing the package also imports
    TensorFlow for the converter: 3 s and 300 MB that have nothing to do with inference.
    """

    package = "larq_compute_engine"
    options = ("use_reference_bconv", "use_indirect_bgemm", "use_xnnpack")
    prepares_apart = False

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
        """Builds the interpreter; Larq Compute Engine allocates the tensors in the same call."""
        if delegate:
            raise ValueError("Larq Compute Engine's interpreter takes no delegate")
        flags = [bool(options.get(option, False)) for option in self.options]
        interpreter = self._module.LiteInterpreter(content, threads, *flags)
        shapes, types = interpreter.input_shapes, interpreter.input_types
        self.inputs = [(tuple(s), np.dtype(t)) for s, t in zip(shapes, types)]
        self.quantization = list(zip(interpreter.input_scales, interpreter.input_zero_points))
        self.run = interpreter.predict

    def prepare(self):
        """Nothing is left to do."""


class LiteRtInterpreter:
    """The stock interpreter of LiteRT (formerly TensorFlow Lite); XNNPACK is on by default.

    A delegate `{"library": path, "options": {}}` takes its ops first, XNNPACK what is left.
    """

    packages = (
        ("ai_edge_litert.interpreter", "ai-edge-litert"),
        ("tflite_runtime.interpreter", "tflite-runtime"),
        ("tensorflow.lite.python.interpreter", "tensorflow"),
    )
    prepares_apart = True

    def __init__(self):
        for module, distribution in self.packages:
            if importlib.util.find_spec(module.split(".")[0]) is not None:
                self._module = importlib.import_module(module)
                self.version = f"{distribution} {package_version(distribution)}"
                return
        raise ImportError("none of ai-edge-litert, tflite-runtime and tensorflow is installed")

    def load(self, content, threads, options, delegate=None):
        """Builds the interpreter, which gives the delegate its nodes."""
        delegates = []
        if delegate:
            options = dict(delegate["options"], num_threads=threads)
            delegates.append(self._module.load_delegate(delegate["library"], options))
        self._interpreter = self._module.Interpreter(
            model_content=content, num_threads=threads, experimental_delegates=delegates
        )

    def prepare(self):
        """Allocates the tensors; operators prepare, and pack their weights, in it."""
        interpreter = self._interpreter
        interpreter.allocate_tensors()
        details = interpreter.get_input_details()
        self.inputs = [(tuple(int(n) for n in d["shape"]), np.dtype(d["dtype"])) for d in details]
        self.quantization = [d["quantization"] for d in details]
        inputs = [d["index"] for d in details]
        outputs = [d["index"] for d in interpreter.get_output_details()]

        def run(arrays):
            for index, array in zip(inputs, arrays):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]

        self.run = run


RUNTIMES: dict = {"lce": LceInterpreter, "litert": LiteRtInterpreter}


def import_runtime(name):
    """The runtime of this name, imported and not yet loaded.

    Raises:
        ImportError: It is not installed.
        ValueError: The name is unknown.
    """
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime {name!r}")
    return RUNTIMES[name]()


def package_version(distribution):
    """The installed version of a package, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
