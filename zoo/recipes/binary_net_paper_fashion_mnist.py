"""BNN's own training of its convolutional network on Fashion-MNIST, and what it is compared with.

Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained
to +1 or -1, arXiv 1602.02830, section 2.2, which uses CIFAR-10 and SVHN, and its program
(https://github.com/MatthieuCourbariaux/BinaryNet, `Train-time/cifar10.py`): latent weights start
uniformly in the clip's [-1, 1], Glorot's coefficients scale their learning rates, Adam's rate falls
exponentially from 1e-3 to 3e-7, the squared hinge, the epoch with the best validation.

Differs from the program: other data; half the filters, 64 in the first layer; 100 epochs instead of
500; batches of 100 instead of 50; batch normalisation before pooling; binary inputs padded with +1,
not 0. Batch normalisation and Adam are the ordinary ones, as in the program, not the paper's
shift-based ones.

The float network has the same epochs, rates and choice of the epoch, and Glorot's range, which is
the usual one. Nothing was tuned on this data set. `python -m benchmarks.accuracies RECIPE` makes
the rows.
"""

from typing import Any

from zoo.recipes import Recipe, register_recipe


@register_recipe
def binary_net_cnn_paper_fashion_mnist() -> Recipe:
    """The BNN convolutional network on Fashion-MNIST, trained as by its authors.

    Command: onebit zoo train binary_net_cnn_paper_fashion_mnist -o runs/paper_bnn_cnn
    Duration: about 8 hours on two x86-64 cores (estimated); a few with AMX and compute=bfloat16.
    Accuracy: not reported for this data set; not measured.
    """
    return _binary()


@register_recipe
def float_cnn_paper_fashion_mnist() -> Recipe:
    """The float baseline of the same width, with the same budget.

    Command: onebit zoo train float_cnn_paper_fashion_mnist -o runs/paper_float_cnn
    Duration: about 8 hours on two x86-64 cores (estimated); a few with AMX and compute=bfloat16.
    Accuracy: not reported for this data set; not measured.
    """
    return _recipe("float_cnn", {})


@register_recipe
def binary_net_cnn_distilled_fashion_mnist() -> Recipe:
    """The same binary network, which learns the float one's answers beside the labels.

    Both losses have the weight 1, a first guess.

    Command: onebit zoo train binary_net_cnn_distilled_fashion_mnist -o runs/distilled_bnn_cnn
    Duration: as the two above together.
    Accuracy: not reported for this data set; not measured.
    """
    return _binary(
        teacher=float_cnn_paper_fashion_mnist(), init_from_teacher=False, label_weight=1.0
    )


def _binary(**fields: Any) -> Recipe:
    return _recipe("binary_net_cnn", {"initial_range": 1.0}, glorot_scaling=True, **fields)


def _recipe(model: str, options: dict[str, float], **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset="fashion_mnist",
        options={"width": 64, **options},
        epochs=100,
        batch_size=100,
        learning_rate=1e-3,
        final_learning_rate=3e-7,
        selection="best",
        smoke_options={"width": 4},
        **fields,
    )
