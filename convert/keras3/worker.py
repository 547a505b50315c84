"""Makes a float `.tflite` file of a model of Keras 3, or of a SavedModel, and runs the model.

    python -m convert.keras3.worker SETTINGS.json

SETTINGS names the model, the folder for `float.tflite`, a file with custom objects and whether code
in the model may run. It answers a line of JSON when the file is written, or with the error. Then it
reads lines of JSON. To a list of names of signs it answers which of them it can observe, and does
so from then on. `null` announces inputs: an `.npz` archive, as `convert/runtimes/litert_worker.py`
has them, which it answers with one of the outputs and the numbers in front of those signs. It ends
with its input.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

# The package's own import has set it, for Larq; here is Keras 3, and TensorFlow is not loaded yet.
os.environ.pop("TF_USE_LEGACY_KERAS", None)
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from convert.keras3.served import Served, served_model, served_saved_model
from convert.model_files import explained, load_custom_objects
from convert.runtimes.litert_worker import receive, send
from onebit.errors import OnebitError, first_line


def load(path: Path, custom_objects: str | None, allow_code: bool) -> Served:
    """The model of a `.keras` or `.h5` file, or the signature of a SavedModel.

    Raises:
        OnebitError: It cannot be loaded.
    """
    objects = load_custom_objects(Path(custom_objects)) if custom_objects else {}
    try:
        if path.is_dir():
            return served_saved_model(path)
        import keras

        model = keras.saving.load_model(
            path, custom_objects=objects, compile=False, safe_mode=not allow_code
        )
        return served_model(model)
    except OnebitError:
        raise
    except Exception as error:  # Keras raises whatever its many readers raise
        raise explained(path, error) from error


def main(settings_file: str) -> None:
    """Writes the float file, then answers batches until the input ends."""
    settings = json.loads(Path(settings_file).read_text())
    # What TensorFlow prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content).encode() + b"\n")
        answers.flush()

    try:
        for module in settings["modules"]:
            importlib.import_module(module)
        served = load(Path(settings["model"]), settings["custom_objects"], settings["allow_code"])
        content = served.float_file()
    except OnebitError as error:
        answer({"error": error.message, "hint": error.hint})
        return
    except Exception as error:  # the converter raises whatever comes up
        message = f"TensorFlow Lite cannot convert {settings['model']}: {first_line(error)}"
        answer({"error": message, "hint": None})
        return
    (Path(settings["folder"]) / "float.tflite").write_bytes(content)
    answer({"layers": served.layer_names})
    reader = served.reader([])
    while line := sys.stdin.buffer.readline():
        signs = json.loads(line)
        if signs is not None:
            reader = served.reader(signs)
            answer({"signs": reader.signs})
            continue
        try:
            batch = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, reader.run(batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
