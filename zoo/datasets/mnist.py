"""MNIST's 70,000 handwritten digits."""

from pathlib import Path

from zoo.datasets import Dataset, register_dataset
from zoo.datasets._idx import load_idx_dataset

URL = "https://storage.googleapis.com/cvdf-datasets/mnist"
SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


@register_dataset(input_shape=(28, 28, 1), classes=10)
def mnist(folder: Path) -> Dataset:
    """Handwritten digits, 28×28 grey: 50,000 to train on, 10,000 to validate, 10,000 to test."""
    digits = [str(digit) for digit in range(10)]
    return load_idx_dataset("mnist", digits, [folder], URL, SHA256)
