"""BinaryConnect's own training of its MLP, on Fashion-MNIST: the four rows of the paper's table 2.

BinaryConnect: Training Deep Neural Networks with binary weights during propagations,
arXiv 1511.00363, section 3.1, which uses MNIST, and the program of its experiments
(https://github.com/MatthieuCourbariaux/BinaryConnect, `mnist_mlp.py`, `trainer.py` and `layer.py`
of June to September 2015): SGD without momentum at the same rates for all four, from 3 to 0.1
exponentially over 1,000 epochs, batches of 200, the mean squared hinge, batch normalisation's
moments estimated before each test, which is every second epoch, and the epoch with the best
validation. Latent
weights lie in [-1, 1], with learning rates that squared Glorot coefficients scale, which is the
program's smaller range and unscaled rate.

Differs from the program: other data; moments are estimated on the training images only, not on
those for validation too; the rate falls by step; binary networks start uniformly within the clip,
as in the later program.

Nothing was tuned on this data set. Results: `python -m benchmarks.paper_order`, with fewer epochs.
"""

from typing import Any

from zoo.recipes import Recipe, register_recipe


@register_recipe
def float_mlp_paper_fashion_mnist() -> Recipe:
    """The paper's "no regularizer" on Fashion-MNIST.

    Command: onebit zoo train float_mlp_paper_fashion_mnist -o runs/paper_float
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: not reported for this data set; results/paper_order.jsonl has shorter trainings.
    """
    return _recipe("float_mlp")


@register_recipe
def float_mlp_dropout_paper_fashion_mnist() -> Recipe:
    """The paper's "50% dropout" on Fashion-MNIST.

    Command: onebit zoo train float_mlp_dropout_paper_fashion_mnist -o runs/paper_dropout
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: not reported for this data set; results/paper_order.jsonl has shorter trainings.
    """
    return _recipe("float_mlp", {"dropout": 0.5})


@register_recipe
def binary_connect_mlp_paper_fashion_mnist() -> Recipe:
    """Deterministic BinaryConnect on Fashion-MNIST, trained as by its authors.

    Command: onebit zoo train binary_connect_mlp_paper_fashion_mnist -o runs/paper_det
    Duration: about 2 hours on two x86-64 cores (estimated).
    Accuracy: not reported for this data set; results/paper_order.jsonl has shorter trainings.
    """
    return _recipe("binary_connect_mlp", glorot_scaling=True)


@register_recipe
def binary_connect_mlp_stochastic_paper_fashion_mnist() -> Recipe:
    """Stochastic BinaryConnect on Fashion-MNIST, trained as by its authors.

    The epoch is chosen by the validation accuracy of the real weights, as in the paper; their
    signs are tested at the same epoch.

    Command: onebit zoo train binary_connect_mlp_stochastic_paper_fashion_mnist -o runs/paper_stoch
    Duration: about 3 hours on two x86-64 cores (estimated).
    Accuracy: not reported for this data set; results/paper_order.jsonl has shorter trainings.
    """
    return _recipe(
        "binary_connect_mlp", {"stochastic": True}, glorot_scaling=True, selection="best_latent"
    )


def _recipe(
    model: str,
    options: dict[str, Any] | None = None,
    *,
    glorot_scaling: bool = False,
    selection: str = "best",
) -> Recipe:
    return Recipe(
        model=model,
        dataset="fashion_mnist",
        options=options or {},
        epochs=1000,
        batch_size=200,
        optimizer="sgd",
        learning_rate=3.0,
        final_learning_rate=0.1,
        glorot_scaling=glorot_scaling,
        estimate_moments=True,
        validate_every=2,
        selection=selection,
        smoke_options={"units": 32},
    )
