"""Whether an int8 file is what 8 bits make of a Keras model (see `int8_file.py`)."""

import numpy as np

from convert.keras_model.signature import keras_batch, run_keras, signature_of
from convert.report import Verification
from convert.samples import Samples
from convert.tflite.graph import Graph
from convert.verification.file_order import input_order, output_order
from convert.verification.int8_file import Original, compare_int8
from convert.verification.verify_file import verify
from onebit.keras import keras

_BATCH = 64


def verify_int8(
    model: keras.Model, reference: Graph, graph: Graph, samples: Samples
) -> Verification:
    """Compares an int8 file with its Keras model.

    Args:
        model: The original Keras model.
        reference: The float file that LCE made of it, its tensors named.
        graph: The int8 file.
        samples: Checked samples.

    Raises:
        ConversionError: LCE's interpreter refuses a file, or it was made from another model.
    """
    base = verify(model, reference, samples, with_delegate=False)
    signature = signature_of(model)
    arrays = samples.arrays
    names, outputs = _keras_outputs(model, samples, keras_batch(model, signature, arrays))
    original = Original(
        outputs,
        [arrays[i] for i in input_order(reference, signature)],
        [arrays[i] for i in input_order(graph, signature)],
        output_order(graph, names, [output.shape[1:] for output in outputs]),
        samples.labels,
    )
    return compare_int8(base, reference, graph, original)


def _keras_outputs(
    model: keras.Model, samples: Samples, size: int | None
) -> tuple[list[str], list[np.ndarray]]:
    """The names of Keras' outputs, and the outputs for all samples, a batch at a time."""
    signature = signature_of(model)
    names: list[str] = []
    rows = []
    for start in range(0, len(samples), size or _BATCH):
        window = [array[start : start + (size or _BATCH)] for array in samples.arrays]
        names, outputs = run_keras(model, signature, window, size)
        rows.append(outputs)
    return names, [np.concatenate(column) for column in zip(*rows, strict=True)]
