"""BinaryConnect on 5,000 real MNIST digits.

python -m zoo train binary_connect_mlp_mnist_5k -o runs/binary_connect
"""

from zoo.recipes import Recipe, register_recipe

binary_connect_mlp_mnist_5k = register_recipe(
    Recipe(
        name="binary_connect_mlp_mnist_5k",
        model="binary_connect_mlp",
        dataset="mnist_5k",
        smoke_options={"units": 32},
    )
)

binary_connect_mlp_stochastic_mnist_5k = register_recipe(
    Recipe(
        name="binary_connect_mlp_stochastic_mnist_5k",
        model="binary_connect_mlp",
        dataset="mnist_5k",
        options={"stochastic": True},
        smoke_options={"units": 32},
    )
)

float_mlp_mnist_5k = register_recipe(
    Recipe(
        name="float_mlp_mnist_5k",
        model="float_mlp",
        dataset="mnist_5k",
        smoke_options={"units": 32},
    )
)
