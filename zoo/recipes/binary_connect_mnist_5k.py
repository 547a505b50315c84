"""BinaryConnect on 5,000 real MNIST digits: the rows of the paper's table 2 in about a minute each.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1.

Differs from the paper: 4,000 training images instead of 50,000; Adam instead of SGD; batches of 100
instead of 200; 30 to 60 epochs instead of 1000; the model of the last epoch instead of the best by
validation. `zoo/recipes/binary_connect_mnist.py` has the rates of the authors' programs.

Epochs and learning rates were chosen on 800 of the 4,000 training images. The accuracies are in
`results/accuracies.jsonl`, which `make accuracies` makes; durations are of two x86-64 cores.
"""

from typing import Any

from zoo.recipes import Recipe, register_recipe


@register_recipe
def float_mlp_mnist_5k() -> Recipe:
    """The float baseline, the paper's "no regularizer", on mnist_5k.

    Command: onebit zoo train float_mlp_mnist_5k -o runs/float_mlp
    Duration: 31 s measured.
    Accuracy: measured in results/accuracies.jsonl.
    """
    return _recipe("float_mlp", {}, epochs=30)


@register_recipe
def float_mlp_dropout_mnist_5k() -> Recipe:
    """The float baseline with the paper's "50% dropout", on mnist_5k.

    Command: onebit zoo train float_mlp_dropout_mnist_5k -o runs/float_mlp_dropout
    Duration: about 45 s (estimated).
    Accuracy: measured in results/accuracies.jsonl.
    """
    return _recipe("float_mlp", {"dropout": 0.5}, epochs=50, estimate_moments=True)


@register_recipe
def binary_connect_mlp_mnist_5k() -> Recipe:
    """Deterministic BinaryConnect on mnist_5k.

    Command: onebit zoo train binary_connect_mlp_mnist_5k -o runs/binary_connect
    Duration: about 45 s (estimated).
    Accuracy: measured in results/accuracies.jsonl.
    """
    return _recipe(
        "binary_connect_mlp",
        {},
        epochs=30,
        learning_rate=3e-3,
        final_learning_rate=3e-6,
        glorot_scaling=True,
    )


@register_recipe
def binary_connect_mlp_stochastic_mnist_5k() -> Recipe:
    """Stochastic BinaryConnect on mnist_5k, tested with signs and with real weights.

    Batch normalisation's moments are estimated for signs and for latent weights before the test
    (`zoo.training.batch_norm`); the moving averages of drawn weights cost the signs 24 points.

    Command: onebit zoo train binary_connect_mlp_stochastic_mnist_5k -o runs/stochastic
    Duration: about 2 minutes (estimated).
    Accuracy: measured in results/accuracies.jsonl.
    """
    return _recipe(
        "binary_connect_mlp",
        {"stochastic": True},
        epochs=60,
        learning_rate=1e-2,
        final_learning_rate=1e-5,
        glorot_scaling=True,
    )


@register_recipe
def binary_connect_cnn_mnist_5k() -> Recipe:
    """Deterministic BinaryConnect's convolutional network on mnist_5k.

    Command: onebit zoo train binary_connect_cnn_mnist_5k -o runs/binary_connect_cnn
    Duration: about 2 minutes (estimated).
    Accuracy: not reported; not measured.
    """
    return Recipe(
        model="binary_connect_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        learning_rate=3e-3,
        final_learning_rate=3e-6,
        glorot_scaling=True,
        smoke_options={"width": 4},
    )


def _recipe(model: str, options: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset="mnist_5k",
        options=options,
        smoke_options={"units": 32},
        **fields,
    )
