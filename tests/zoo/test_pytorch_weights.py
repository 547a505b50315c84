"""A binary network that PyTorch has trained gives the same outputs in the zoo and as a file.

    pytest -m slow tests/zoo/test_pytorch_weights.py

The first run downloads PyTorch (3 GB) into ~/.cache/onebit-test-envs.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onebit.keras import keras
from tests.support import peers
from tests.support.torch_bnn import MAP

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
TORCH = peers.Environment("torch", ("torch==2.5.1", "safetensors==0.4.5", "numpy==1.26.4"))

TRAIN = """
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

torch.manual_seed(0)
width, classes = 4, 10

class Sign(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(context, upstream):
        (x,) = context.saved_tensors
        return upstream * (x.abs() <= 1)

class Bnn(nn.Module):
    def __init__(self):
        super().__init__()
        channels, norms = 1, []
        for n in range(1, 7):
            filters = width * 2 ** ((n - 1) // 2)
            setattr(self, f"conv{n}", nn.Conv2d(channels, filters, 3, bias=False))
            setattr(self, f"bn{n}", nn.BatchNorm2d(filters))
            channels = filters
        units = 9 * channels
        for n, outputs in enumerate((8 * width, 8 * width, classes), 1):
            setattr(self, f"fc{n}", nn.Linear(units, outputs, bias=False))
            setattr(self, f"bn{6 + n}", nn.BatchNorm1d(outputs))
            units = outputs

    def forward(self, x):
        sign = Sign.apply
        for n in range(1, 7):
            x = functional.pad(x if n == 1 else sign(x), (1, 1, 1, 1), value=float(n > 1))
            x = functional.conv2d(x, sign(getattr(self, f"conv{n}").weight))
            x = getattr(self, f"bn{n}")(x)
            x = functional.max_pool2d(x, 2) if n % 2 == 0 else x
        x = x.flatten(1)
        for n in range(1, 4):
            x = functional.linear(sign(x), sign(getattr(self, f"fc{n}").weight))
            x = getattr(self, f"bn{6 + n}")(x)
        return x

net = Bnn()
images = torch.from_numpy(np.load("images.npy")).permute(0, 3, 1, 2).contiguous()
labels = torch.from_numpy(np.load("labels.npy"))
optimizer = torch.optim.Adam(net.parameters(), 1e-2)
for step in range(60):
    batch = torch.arange(100) + 100 * (step % 9)
    optimizer.zero_grad()
    functional.cross_entropy(net(images[batch]), labels[batch]).backward()
    optimizer.step()
net.eval()
with torch.no_grad():
    np.save("outputs.npy", net(images).numpy())
save_file(net.state_dict(), "bnn.safetensors")
"""


def onebit(*arguments):
    command = [sys.executable, "-m", "onebit", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_trained_network_of_pytorch_is_imported_converted_and_gives_its_outputs(tmp_path):
    import zoo

    python = peers.python_or_skip(TORCH)
    test = zoo.load_dataset("mnist_5k").test
    images = (test.images / 127.5 - 1).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", test.labels)
    trained = subprocess.run([python, "-c", TRAIN], cwd=tmp_path, capture_output=True, text=True)
    assert trained.returncode == 0, trained.stderr
    expected = np.load(tmp_path / "outputs.npy")
    (tmp_path / "map.json").write_text(json.dumps(MAP))

    weights, run = tmp_path / "bnn.safetensors", tmp_path / "run"
    onebit("zoo", "import", weights, "binary_net_cnn_mnist_5k", "--map", tmp_path / "map.json",
           "--set", "width=4", "-o", run)  # fmt: skip
    outputs = keras.models.load_model(run / "model.keras")(images).numpy()
    # Sums of signs are exact; the first layer's and the normalisations' round differently, and a
    # number within 1e-6 of a threshold may get another sign there: about one of a million, in an
    # image of 28×28×4 + … ≈ 10,000 signs. 1,000 images have about 10 of them.
    equal = np.isclose(outputs, expected, rtol=1e-3, atol=1e-4).all(1)
    assert equal.sum() >= 970
    accuracy = np.mean(expected.argmax(1) == test.labels)
    card = json.loads((run / "card.json").read_text())
    assert abs(card["accuracy"]["value"] - accuracy) <= 0.005
    assert accuracy > 0.5  # it has learnt: chance is 0.1
    converted = onebit("convert", "model", run, "-o", tmp_path / "bnn.tflite")
    assert "against Keras on 1000 test samples: " in converted
