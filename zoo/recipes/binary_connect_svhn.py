"""BinaryConnect's convolutional network on SVHN, as in the paper but for what is said here.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.3: global and local contrast normalisation, half the units of CIFAR-10.

Differs from the paper: the model of the last epoch instead of the best by validation; batch
normalisation before pooling.

Not trained here: the data cannot be had offline. Accuracies are the paper's, table 2.
"""

from typing import Any

from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe, register_recipe

# Contrast normalisation makes the scale of the pixels immaterial.
CONTRAST = Preprocessing(1.0, 0.0, contrast="local")


@register_recipe
def float_cnn_svhn() -> Recipe:
    """The float twin, the paper's "no regularizer", on SVHN.

    Command: python -m zoo train float_cnn_svhn -o runs/float_cnn_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.56 % ("No regularizer"); not measured here.
    """
    return _recipe("float_cnn", {})


@register_recipe
def binary_connect_cnn_svhn() -> Recipe:
    """Deterministic BinaryConnect on SVHN.

    Command: python -m zoo train binary_connect_cnn_svhn -o runs/binary_connect_cnn_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.70 % ("BinaryConnect (det.)"); not measured here.
    """
    return _recipe("binary_connect_cnn", {}, glorot_scaling=True)


@register_recipe
def binary_connect_cnn_stochastic_svhn() -> Recipe:
    """Stochastic BinaryConnect on SVHN, tested with signs and with real weights.

    Command: python -m zoo train binary_connect_cnn_stochastic_svhn -o runs/stochastic_svhn
    Duration: about 25 days on two x86-64 cores (estimated); meant for a GPU.
    Accuracy: reported 97.85 % with real weights at test ("BinaryConnect (stoch.)"); not
    measured here.
    """
    return _recipe("binary_connect_cnn", {"stochastic": True}, glorot_scaling=True)


def _recipe(model: str, options: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset="svhn",
        options={"width": 64, **options},
        epochs=200,
        batch_size=50,
        learning_rate=1e-2,
        final_learning_rate=3e-6,
        preprocessing=CONTRAST,
        smoke_options={"width": 4},
        **fields,
    )
