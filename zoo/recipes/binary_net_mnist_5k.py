"""Binarized Neural Networks on 5,000 real MNIST digits.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.1 (MLP) and 2.2 (the convolutional network, which the paper
trains on CIFAR-10).

Differs from the paper: 4,000 training images instead of 50,000; 1024 instead of 4096 units without
dropout, a quarter of the filters; learning rates that Glorot's coefficients don't scale, and latent
weights that start in Glorot's range; the model of the last epoch instead of the best by validation.

The learning rates of the binary networks and the MLP's epochs were chosen on 800 of the 4,000
training images; the convolutional networks' epochs and the float one's learning rate were not
tuned. Measured on 2026-11-21, x86-64 with AVX-512, two cores that others used too; accuracies are
of the 1,000 test images with seeds 1 (the recipe's), 2 and 3 (`--seed`) unless it says otherwise.
"""

from zoo.recipes import Recipe, register_recipe


@register_recipe
def binary_net_mlp_mnist_5k() -> Recipe:
    """The BNN MLP on mnist_5k.

    Command: onebit zoo train binary_net_mlp_mnist_5k -o runs/binary_net
    Duration: 47 s measured.
    Accuracy: 96.3, 96.0, 95.9 % measured with compute=bfloat16 (results/accuracies.jsonl).
    """
    return Recipe(
        model="binary_net_mlp",
        dataset="mnist_5k",
        epochs=40,
        learning_rate=3e-3,
        final_learning_rate=3e-5,
        smoke_options={"units": 32},
    )


@register_recipe
def binary_net_cnn_mnist_5k() -> Recipe:
    """The BNN convolutional network on mnist_5k.

    Command: onebit zoo train binary_net_cnn_mnist_5k -o runs/binary_net_cnn
    Duration: 131 s measured.
    Accuracy: 92.3 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl); 95.2 %
        with the same seed in float32 on another machine, without a row.
    """
    return Recipe(
        model="binary_net_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        learning_rate=1e-2,
        final_learning_rate=1e-4,
        smoke_options={"width": 4},
    )


@register_recipe
def float_cnn_mnist_5k() -> Recipe:
    """The float baseline of the convolutional network on mnist_5k.

    Command: onebit zoo train float_cnn_mnist_5k -o runs/float_cnn
    Duration: 111 s measured.
    Accuracy: 98.8 % measured with seed 1 and compute=bfloat16 (results/accuracies.jsonl).
    """
    return Recipe(
        model="float_cnn",
        dataset="mnist_5k",
        options={"width": 32},
        epochs=20,
        smoke_options={"width": 4},
    )
