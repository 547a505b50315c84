"""Whatever people have → a conversion: which pipeline takes it, decided without loading anything.

Models of Larq's Keras 2 go through rewrites and LCE's converter (`conversion.py`). Models of
Keras 3 and SavedModels become a float file, in a process whose TensorFlow has chosen Keras 3, and
the binariser takes that (`file_conversion.py`), as it takes float files of others.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import ConversionError, SourceError
from convert.file_conversion import convert_file
from convert.keras3.process import keras3_process
from convert.model_files import kind_of
from convert.result import Conversion
from convert.tflite.files import read_file
from onebit.errors import unreadable
from onebit.files import TFLITE_IDENTIFIER

if TYPE_CHECKING:
    from convert.keras3.served import Reader, Served

_KERAS3_OPTIONS = (
    "int8",
    "metadata",
    "name",
    "on_stage",
    "samples",
    "source",
    "verification",
    "with_delegate",
)


def convert_model(model: Any, **options: Any) -> Conversion:
    """Converts a built Keras model to a bitpacked `.tflite` file that LCE's interpreter runs.

    The given model is not changed.

    Args:
        model: A model of Larq's Keras 2 or of Keras 3 (on the TensorFlow backend).
        options: Those of `convert.conversion.convert_model`; of Keras 3 models `samples`,
            `verification`, `name`, `source`, `metadata`, `with_delegate`, `int8` and `on_stage`.

    Returns:
        The file and its report. A `mismatch` in the verification is reported, not raised, and then
        `Conversion.save` refuses to write the file.

    Raises:
        ConversionError: The model is not built, cannot be converted, or an option is for the other
            Keras.
        SourceError: The samples don't fit the model.
    """
    if not is_keras3(model):
        from convert.conversion import convert_model as convert_keras2

        return convert_keras2(model, **options)
    from convert.keras3.served import served_model

    unknown = [key for key in options if key not in _KERAS3_OPTIONS]
    if unknown:
        raise ConversionError(
            f"{unknown[0]} is for models of Larq's Keras 2, and {model.name} is one of Keras 3",
            hint=f"leave it out; there are {', '.join(_KERAS3_OPTIONS)}",
        )
    options.setdefault("name", model.name)
    served = served_model(model)
    return convert_file(
        served.float_file(),
        reference=_InProcess(served),
        layer_names=served.layer_names,
        **options,
    )


def is_keras3(model: Any) -> bool:
    """Whether an object is a model of Keras 3; no Keras is imported for it."""
    return any(each.__module__.startswith("keras.src.") for each in type(model).__mro__)


class _InProcess:
    """A model in this process as the reference."""

    name = "Keras"

    def __init__(self, served: "Served") -> None:
        self._served = served

    @contextlib.contextmanager
    def reading(self, signs: Sequence[str]) -> Iterator[tuple["Reader", list[str]]]:
        """A runner of the model, and the signs that it observes."""
        reader = self._served.reader(signs)
        yield reader, reader.signs


def goes_by_float_file(path: Path, allow_code: bool = False) -> bool:
    """Whether a source becomes binary by way of a float file: one, a Keras 3 model, a SavedModel.

    Args:
        path: The file or folder.
        allow_code: Whether to allow Lambda layers, which execute Python code from the file.

    Raises:
        SourceError: There is no such file, it is another kind of file, or it holds code.
    """
    return is_tflite(path) or kind_of(path, allow_code) in ("keras3", "saved_model")


def is_tflite(path: Path) -> bool:
    """Whether a source is a `.tflite` file, by its name or its first bytes.

    Raises:
        SourceError: It cannot be read.
    """
    if path.suffix == ".tflite" or not path.is_file():
        return path.suffix == ".tflite"
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == TFLITE_IDENTIFIER
    except OSError as error:
        raise SourceError(unreadable(path, error)) from error


@contextlib.contextmanager
def opened_float_file(
    path: Path, custom_objects: Path | None = None, allow_code: bool = False
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The float file of a source that goes by one, and options of `convert_file` for it.

    A model of Keras 3 lives in a process that ends with the block, and is the reference.

    Args:
        path: The `.tflite`, `.keras` or `.h5` file, or the SavedModel's folder.
        custom_objects: A Python file with the model's own classes and functions; it is run.
        allow_code: Whether code that the model file holds may run.

    Raises:
        SourceError: It cannot be loaded, or converted to a float file.
        FlatbufferError: It is not a well-formed `.tflite` file.
    """
    if is_tflite(path):
        yield read_file(path), {}
        return
    with keras3_process(path, custom_objects, allow_code) as process:
        yield process.float_file, {"reference": process, "layer_names": process.layer_names}
