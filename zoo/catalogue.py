"""The zoo's models, data sets and recipes as plain records for tables and JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from onebit.errors import UsageError, near_matches
from zoo.datasets import datasets
from zoo.models import models
from zoo.recipes import describe_recipe, recipes, resolve_recipe
from zoo.runs.packed_weights import pretrained
from zoo.summary import layer_records, totals

KEYS = (
    "type",
    "name",
    "family",
    "kind",
    "paper",
    "float_baseline",
    "weights",
    "model",
    "dataset",
    "description",
)
"""Keys of every entry; None where one does not apply."""


def entries() -> list[dict[str, Any]]:
    """All models, data sets and recipes, each with all of `KEYS`."""
    found: list[dict[str, Any]] = []
    for name in models.names():
        model = models.get(name)
        found.append(
            {
                "type": "model",
                "name": name,
                "family": model.family,
                "kind": model.kind,
                "paper": model.paper and f"arXiv {model.paper.arxiv}",
                "float_baseline": model.float_baseline,
                "weights": pretrained(name),
                "description": model.summary,
            }
        )
    for name in datasets.names():
        found.append({"type": "dataset", "name": name, "description": datasets.get(name).summary})
    for name in recipes.names():
        recipe = resolve_recipe(name)
        found.append(
            {
                "type": "recipe",
                "name": name,
                "model": recipe.model,
                "dataset": recipe.dataset,
                "description": describe_recipe(name).partition("\n")[0],
            }
        )
    return [{key: entry.get(key) for key in KEYS} for entry in found]


def describe(name: str) -> dict[str, Any]:
    """All about a model, or about a recipe and its model: settings, options, layers, sums.

    Raises:
        UsageError: There is no model or recipe of that name.
    """
    if name in recipes.names():
        recipe = resolve_recipe(name)
        model, dataset = models.get(recipe.model), datasets.get(recipe.dataset)
        settings: dict[str, Any] | None = dataclasses.asdict(recipe)
        description = describe_recipe(name)
        options = {
            **recipe.options,
            "input_shape": dataset.input_shape,
            "classes": dataset.classes,
        }
    elif name in models.names():
        model, settings, options = models.get(name), None, {}
        description = model.summary
    else:
        known = [*recipes.names(), *models.names()]
        raise UsageError(f"there is no model or recipe {name!r}; {near_matches(name, known)}")
    # Trained weights, which may be a download, change nothing of what is shown.
    layers = layer_records(model.build(**{k: v for k, v in options.items() if k != "weights"}))
    return {
        "name": name,
        "description": description,
        "recipe": settings,
        "model": model.name,
        "family": model.family,
        "kind": model.kind,
        "paper": model.paper and dataclasses.asdict(model.paper),
        "float_baseline": model.float_baseline,
        "options": {**model.options, **options},
        "totals": totals(layers),
        "layers": layers,
    }
