"""BiT's staged distillation on Debian's package descriptions, its float teacher, and no stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.recipes import Recipe, register_recipe


def _recipe(
    model: str, epochs: int, teacher: Recipe | None = None, options: Mapping[str, Any] | None = None
) -> Recipe:
    return Recipe(
        model=model,
        dataset="debian_sections",
        options=options or {},
        epochs=epochs,
        batch_size=64,
        loss="cross_entropy",
        teacher=teacher,
        preprocessing=None,
        smoke_options={"layers": 1, "units": 32},
    )


@register_recipe
def bert_tiny_debian_sections() -> Recipe:
    """The float twin, which is the first teacher."""
    return _recipe("bert_tiny", epochs=6)


@register_recipe
def binary_bert_tiny_2_bit_debian_sections() -> Recipe:
    """The stage between: weights of one bit, activations of two."""
    return _recipe(
        "binary_bert_tiny",
        epochs=5,
        teacher=bert_tiny_debian_sections(),
        options={"activation_bits": 2},
    )


@register_recipe
def binary_bert_tiny_debian_sections() -> Recipe:
    """The last stage: weights and activations of one bit."""
    return _recipe("binary_bert_tiny", epochs=5, teacher=binary_bert_tiny_2_bit_debian_sections())


@register_recipe
def binary_bert_tiny_direct_debian_sections() -> Recipe:
    """The same network without stages: from random weights, on the labels."""
    return _recipe("binary_bert_tiny", epochs=10)
