"""BinaryConnect on 5,000 real MNIST digits: the rows of the paper's table 2 in half a minute each.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1.

Differs from the paper: a fifteenth of the data; Adam instead of SGD with Glorot-scaled learning
rates; batches of 100 instead of 200; the model of the last epoch instead of the best by validation.
"""

from zoo.recipes import Recipe, register_recipe


@register_recipe
def float_mlp_mnist_5k() -> Recipe:
    """The float twin, the paper's "no regularizer", on mnist_5k."""
    return Recipe(model="float_mlp", dataset="mnist_5k", epochs=30, smoke_options={"units": 32})


@register_recipe
def binary_connect_mlp_mnist_5k() -> Recipe:
    """Deterministic BinaryConnect on mnist_5k."""
    return Recipe(
        model="binary_connect_mlp", dataset="mnist_5k", epochs=30, smoke_options={"units": 32}
    )


@register_recipe
def binary_connect_mlp_stochastic_mnist_5k() -> Recipe:
    """Stochastic BinaryConnect on mnist_5k, tested with the signs of its weights."""
    return Recipe(
        model="binary_connect_mlp",
        dataset="mnist_5k",
        options={"stochastic": True},
        epochs=40,
        # The weights start anywhere in [-1, 1] and must reach its ends in 1,600 steps.
        learning_rate=1e-1,
        final_learning_rate=1e-3,
        smoke_options={"units": 32},
    )
