"""Settings that BinaryConnect's recipes share (arXiv 1511.00363, sections 3.1 to 3.3)."""

import dataclasses
from typing import Any

from zoo.datasets.preprocessing import Preprocessing
from zoo.recipes import Recipe


def float_mlp(dataset: str, *, epochs: int, **options: Any) -> Recipe:
    """The float baseline of the MLP on images of clothes or digits."""
    return _mlp("float_mlp", dataset, epochs, options, learning_rate=1e-3)


def float_mlp_dropout(dataset: str, *, epochs: int) -> Recipe:
    """The float baseline with the paper's 50 % dropout, tested with estimated moments."""
    return dataclasses.replace(
        float_mlp(dataset, epochs=epochs, dropout=0.5), estimate_moments=True
    )


def binary_connect_mlp(dataset: str, *, epochs: int, **options: Any) -> Recipe:
    """BinaryConnect's MLP, whose learning rates Glorot's coefficients scale."""
    return _mlp(
        "binary_connect_mlp", dataset, epochs, options, learning_rate=3e-3, glorot_scaling=True
    )


def _mlp(model: str, dataset: str, epochs: int, options: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe(
        model=model,
        dataset=dataset,
        options=options,
        epochs=epochs,
        batch_size=200,
        final_learning_rate=3e-6,
        smoke_options={"units": 32},
        **fields,
    )


def cnn(
    model: str,
    dataset: str,
    preprocessing: Preprocessing,
    *,
    width: int,
    epochs: int,
    learning_rate: float,
    final_learning_rate: float,
    **options: Any,
) -> Recipe:
    """A convolutional network on colour images; only the binary one scales its learning rates."""
    return Recipe(
        model=model,
        dataset=dataset,
        options={"width": width, **options},
        epochs=epochs,
        batch_size=50,
        learning_rate=learning_rate,
        final_learning_rate=final_learning_rate,
        glorot_scaling=model == "binary_connect_cnn",
        preprocessing=preprocessing,
        smoke_options={"width": 4},
    )
