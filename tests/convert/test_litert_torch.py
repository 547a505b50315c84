"""A binary network in PyTorch, trained a few steps and exported by litert-torch.

    pytest -m slow tests/convert/test_litert_torch.py

The first run downloads PyTorch and litert-torch (5 GB) into ~/.cache/onebit-test-envs.
"""

import subprocess

import numpy as np
import pytest

from tests.support import peers
from tests.support.exported import convert_exported

pytestmark = pytest.mark.slow

TORCH = peers.Environment("litert-torch", ("litert-torch==0.10.0",))

TRAIN = """
import numpy as np
import torch
from torch.nn import functional

torch.manual_seed(0)

class Sign(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(context, upstream):
        (x,) = context.saved_tensors
        return upstream * (x.abs() <= 1)

def sign(x):
    return Sign.apply(x) if torch.is_grad_enabled() else torch.where(x >= 0, 1.0, -1.0)

class BinaryLinear(torch.nn.Linear):
    def forward(self, x):
        return functional.linear(sign(x), sign(self.weight))

class BinaryConv2d(torch.nn.Conv2d):
    def forward(self, x):
        return functional.conv2d(sign(x), sign(self.weight), None, self.stride, self.padding)

net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.BatchNorm2d(16),
    BinaryConv2d(16, 32, 3, padding=1, bias=False), torch.nn.BatchNorm2d(32),
    torch.nn.MaxPool2d(2),
    BinaryConv2d(32, 32, 3, bias=False), torch.nn.BatchNorm2d(32),
    torch.nn.Flatten(), BinaryLinear(128, 10, bias=False), torch.nn.BatchNorm1d(10),
)
x = torch.randn(256, 1, 8, 8)
y = (x[:, 0, 0, 0] > 0).long()
optimizer = torch.optim.Adam(net.parameters(), 1e-2)
for step in range(40):
    batch = slice(64 * (step % 4), 64 * (step % 4) + 64)
    optimizer.zero_grad()
    functional.cross_entropy(net(x[batch]), y[batch]).backward()
    optimizer.step()
net.eval()
with torch.no_grad():
    np.savez("data.npz", inputs=x[:64].numpy())
    np.save("outputs.npy", net(x[:64]).numpy())
    import litert_torch
    litert_torch.convert(net, (x[:1],)).export("float.tflite")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    python = peers.python_or_skip(TORCH)
    folder = tmp_path_factory.mktemp("torch")
    subprocess.run([python, "-c", TRAIN], check=True, cwd=folder, capture_output=True)
    return folder


def test_network_of_pytorch_becomes_binary_and_computes_what_pytorch_does(exported):
    layers, outputs, expected = convert_exported(exported, "float.tflite")
    # The first layer is real in PyTorch too.
    assert [layer["kind"] for layer in layers] == ["float"] + ["binary"] * 3
    # A number within rounding of its threshold is rare in three layers.
    same = np.abs(outputs - expected).max(1) <= 1e-4 * np.abs(expected).max()
    assert same.mean() >= 0.95
