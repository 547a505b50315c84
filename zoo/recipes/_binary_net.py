"""Settings that the recipes of Binarized Neural Networks share (arXiv 1602.02830, section 2)."""

from typing import Any

from zoo.datasets.preprocessing import MINUS_ONE_TO_ONE
from zoo.recipes import Recipe


def small_cnn(model: str, dataset: str, *, width: int, epochs: int, learning_rate: float) -> Recipe:
    """A convolutional network on grey images, or its float baseline."""
    return Recipe(
        model=model,
        dataset=dataset,
        options={"width": width},
        epochs=epochs,
        batch_size=100,
        learning_rate=learning_rate,
        final_learning_rate=3e-6,
        smoke_options={"width": 4},
    )


def cnn(
    dataset: str, *, width: int, epochs: int, final_learning_rate: float, **options: Any
) -> Recipe:
    """The convolutional network on colour images."""
    return Recipe(
        model="binary_net_cnn",
        dataset=dataset,
        options={"width": width, **options},
        epochs=epochs,
        batch_size=50,
        learning_rate=1e-3,
        final_learning_rate=final_learning_rate,
        preprocessing=MINUS_ONE_TO_ONE,
        smoke_options={"width": 4},
    )
