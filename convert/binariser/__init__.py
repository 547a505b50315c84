"""Binary layers found in a float `.tflite` file, whoever wrote it.

What Larq Compute Engine's converter does with a Keras model, these steps do with a file. Each
changes a `Graph` in place and returns the names of the tensors whose operators it changed, as
`convert/passes` do. They need NumPy and flatbuffers only. LCE's own interpreter runs the result.
"""

from convert.binariser.passes import STEPS
from convert.tflite.graph import Graph


def binarise(graph: Graph) -> dict[str, list[str]]:
    """Runs `STEPS` on a float file; returns step → what it changed, without those that did nothing.

    The file is changed.
    """
    fired = {step.__name__: step(graph) for step in STEPS}
    return {name: changed for name, changed in fired.items() if changed}


__all__ = ["STEPS", "binarise"]
