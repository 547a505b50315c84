"""Binarized Neural Networks on 5,000 real MNIST digits.

python -m zoo train binary_net_mlp_mnist_5k -o runs/binary_net
"""

from zoo.recipes import Recipe, register_recipe

binary_net_mlp_mnist_5k = register_recipe(
    Recipe(
        name="binary_net_mlp_mnist_5k",
        model="binary_net_mlp",
        dataset="mnist_5k",
        smoke_options={"units": 32},
    )
)

binary_net_cnn_mnist_5k = register_recipe(
    Recipe(
        name="binary_net_cnn_mnist_5k",
        model="binary_net_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        smoke_options={"width": 4},
    )
)

float_cnn_mnist_5k = register_recipe(
    Recipe(
        name="float_cnn_mnist_5k",
        model="float_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        smoke_options={"width": 4},
    )
)
