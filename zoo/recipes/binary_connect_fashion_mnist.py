"""BinaryConnect on Fashion-MNIST.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1, which uses MNIST.

Differs from the paper: 250 epochs instead of 1000; Adam instead of SGD with Glorot-scaled learning
rates; the model of the last epoch instead of the best by validation, trained on the 50,000 images
that validation leaves.
"""

from zoo.recipes import Recipe, register_recipe

# Measured: one epoch of 60,000 images takes 5.5 to 6 s at batches of 200 on two x86-64 cores.


@register_recipe
def float_mlp_fashion_mnist() -> Recipe:
    """The float twin, the paper's "no regularizer", on Fashion-MNIST.

    Command: python -m zoo train float_mlp_fashion_mnist -o runs/float_mlp_fashion_mnist
    Duration: about 20 minutes on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured at this length.
    """
    return _recipe("float_mlp")


@register_recipe
def binary_connect_mlp_fashion_mnist() -> Recipe:
    """Deterministic BinaryConnect on Fashion-MNIST.

    Command: python -m zoo train binary_connect_mlp_fashion_mnist -o runs/binary_connect_fashion
    Duration: about 20 minutes on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured at this length.
    """
    return _recipe("binary_connect_mlp")


@register_recipe
def binary_connect_mlp_stochastic_fashion_mnist() -> Recipe:
    """Stochastic BinaryConnect on Fashion-MNIST, tested with the signs of its weights.

    Command: python -m zoo train binary_connect_mlp_stochastic_fashion_mnist -o runs/stochastic
    Duration: about 30 minutes on two x86-64 cores (estimated).
    Accuracy: neither reported nor measured at this length.
    """
    return _recipe("binary_connect_mlp", stochastic=True)


def _recipe(model: str, **options: bool) -> Recipe:
    return Recipe(
        model=model,
        dataset="fashion_mnist",
        options=options,
        epochs=250,
        batch_size=200,
        learning_rate=1e-3,
        final_learning_rate=3e-6,
        smoke_options={"units": 32},
    )
