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


def test_the_next_steps_can_be_taken():
    g = FloatGraph()
    x = g.tensor((1, 8))
    known = g.build([x], [g.op("RELU", x)])
    steps = "\n".join(how_to_run(known, Path("-net.tflite")))
    assert "onebit convert export ./-net.tflite --to c -o FOLDER" in steps
    assert "onebit run ./-net.tflite" in steps
    g = FloatGraph()
    x = g.tensor((1, 8))
    unknown = g.build([x], [g.op("SIN", x)])
    assert not [line for line in how_to_run(unknown, Path("net.tflite")) if "--to c" in line]
