"""Fashion-MNIST's 70,000 pictures of clothes: MNIST's format, a harder task.

Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms,
arXiv 1708.07747, table 2 for the classes.
"""

from pathlib import Path

from zoo.datasets import Dataset, register_dataset
from zoo.datasets._idx import load_idx_dataset

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""


@register_dataset(input_shape=(28, 28, 1), classes=10)
def fashion_mnist(folder: Path) -> Dataset:
    """Pictures of clothes, 28×28 grey: 50,000 to train on, 10,000 to validate, 10,000 to test."""
    return load_idx_dataset("fashion_mnist", CLASSES, [folder, DEBIAN_FOLDER], URL, SHA256)
