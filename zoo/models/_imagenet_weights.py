"""Weights that others trained on ImageNet, which their libraries download."""

from collections.abc import Callable

from onebit.errors import OnebitError, first_line
from onebit.keras import keras

CLASSES = 1000


def check_weights(weights: str | None, classes: int) -> None:
    """Refuses an option `weights` that there is nothing for.

    Raises:
        ValueError: It is unknown, or "imagenet" with other than 1000 classes.
    """
    if weights not in (None, "imagenet"):
        raise ValueError(f"weights are imagenet or none, not {weights!r}")
    if weights is not None and classes != CLASSES:
        raise ValueError(f"ImageNet's weights have {CLASSES} classes, not {classes}")


def trained(name: str, make: Callable[[], keras.Model], folder: str) -> keras.Model:
    """The network that `make` makes, whose weights its library downloads once.

    Args:
        name: Of our network.
        make: Makes the library's.
        folder: Where the library keeps the file.

    Raises:
        OnebitError: The weights are neither here nor can be downloaded.
    """
    try:
        return make()
    except Exception as error:  # Keras wraps every failure to fetch in a plain Exception
        raise OnebitError(
            f"{name}'s ImageNet weights are not here and cannot be downloaded "
            f"({first_line(error)}); put that file into {folder}"
        ) from error
