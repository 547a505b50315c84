from pathlib import Path

import pytest

from convert.commands.printing import how_to_run
from tests.support.float_graphs import FloatGraph


@pytest.mark.parametrize(
    ("shapes", "kinds"),
    [
        ([(1, 28, 28, 1)], "IMAGE|ARRAY.npy|SAMPLES.npz"),
        ([(1, 49, 10, 1)], "SOUND.wav|ARRAY.npy|SAMPLES.npz"),
        ([(1, 9, 9, 64)], "ARRAY.npy|SAMPLES.npz"),
        ([(1, 640)], "ARRAY.npy|SAMPLES.npz"),
        ([(1, 8), (1, 8)], "SAMPLES.npz"),
    ],
    ids=["image", "sound", "feature maps", "vector", "two"],
)
def test_the_next_step_names_what_the_model_takes(shapes, kinds):
    g = FloatGraph()
    inputs = [g.tensor(shape) for shape in shapes]
    first, *_ = how_to_run(g.build(inputs, [g.sign(inputs[0])]), Path("my net.tflite"))
    assert first == f"run it: onebit run 'my net.tflite' --input {kinds}"
