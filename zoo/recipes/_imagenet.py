"""Settings that all recipes on ImageNet share."""

from typing import Any

from zoo.datasets.preprocessing import IMAGENET
from zoo.recipes import Recipe


def imagenet_recipe(model: str, **fields: Any) -> Recipe:
    """A recipe with ImageNet's files, its normalisation and the cross-entropy.

    Smoke runs train on noise (`zoo.datasets.synthetic_imagenet`).

    Args:
        model: Registry name.
        fields: The recipe's other fields.
    """
    return Recipe(
        model=model,
        dataset="imagenet",
        loss="cross_entropy",
        preprocessing=IMAGENET,
        smoke_dataset="noise_records",
        **fields,
    )
