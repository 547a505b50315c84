"""The process that holds a model of Keras 3, seen from ours."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from numpy.typing import NDArray

from convert.errors import ConversionError, SourceError
from convert.runtimes.litert_worker import receive, send
from convert.runtimes.subprocesses import how_it_ended, piped_worker
from onebit import keras3_modules


@contextlib.contextmanager
def keras3_process(
    path: Path, custom_objects: Path | None = None, allow_code: bool = False
) -> Iterator["Keras3Process"]:
    """A model of Keras 3, or a SavedModel, in a process that ends with the block.

    Args:
        path: The `.keras` or `.h5` file, or the SavedModel's folder.
        custom_objects: A Python file with the model's own classes and functions; it is run there.
        allow_code: Whether code that the model file holds may run.

    Raises:
        SourceError: The model cannot be loaded, or converted to a float file.
    """
    with tempfile.TemporaryDirectory(prefix="onebit-") as folder:
        settings = {
            "model": str(path.absolute()),
            "folder": folder,
            "custom_objects": None if custom_objects is None else str(custom_objects.absolute()),
            "allow_code": allow_code,
            "modules": keras3_modules,
        }
        file = Path(folder) / "settings.json"
        file.write_text(json.dumps(settings))
        environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
        worker = piped_worker("convert.keras3.worker", str(file), environment=environment)
        with worker as (process, errors):
            yield Keras3Process(process, errors, Path(folder))


class Keras3Process:
    """The process of `keras3_process`.

    Args:
        process: The process, just started.
        errors: The file that its standard error goes to.
        folder: Where it writes the float file.

    Attributes:
        float_file: The float `.tflite` file of the model.
        layer_names: The model's layers that multiply.

    Raises:
        SourceError: The model cannot be loaded or converted.
    """

    name = "Keras"

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], folder: Path) -> None:
        self._process, self._errors = process, errors
        self._requests = cast(IO[bytes], process.stdin)
        self._answers = cast(IO[bytes], process.stdout)
        self.layer_names: list[str] = self._answer()["layers"]
        self.float_file = (folder / "float.tflite").read_bytes()

    @contextlib.contextmanager
    def reading(self, signs: Sequence[str]) -> Iterator[tuple["Keras3Process", list[str]]]:
        """Has the process run the model and observe signs; gives it, and the signs that it has."""
        self._request(list(signs))
        yield self, self._answer()["signs"]

    def run(
        self, samples: Sequence[NDArray[Any]], tick: Callable[[], None] | None = None
    ) -> list[NDArray[Any]]:
        """The model's outputs, and the numbers in front of the signs, for samples `[N, …]`.

        Args:
            samples: One array per input.
            tick: Called once for every sample.

        Raises:
            ConversionError: The process ended.
        """
        try:
            self._request(None)
            send(self._requests, samples)
            outputs = receive(self._answers)
        except (OSError, EOFError) as error:
            raise ConversionError(f"Keras failed: {self._end()}") from error
        for _ in samples[0] if tick is not None else ():
            tick()  # type: ignore[misc]
        return outputs

    def _request(self, signs: list[str] | None) -> None:
        """Names the signs to observe from now on, or, as None, announces samples."""
        self._requests.write(json.dumps(signs).encode() + b"\n")
        self._requests.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise SourceError(f"Keras 3 cannot load the model: {self._end()}")
        content = json.loads(line)
        if "error" in content:
            raise SourceError(content["error"], hint=content["hint"])
        return content

    def _end(self) -> str:
        self._errors.seek(0)
        return how_it_ended(self._process.wait(), self._errors.read().decode("utf-8", "replace"))
