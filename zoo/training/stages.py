"""A check before a long training: the networks of a recipe and its teachers go together."""

from __future__ import annotations

from collections.abc import Iterator

from onebit.keras import keras
from zoo.datasets import datasets
from zoo.factory import build
from zoo.recipes import Recipe
from zoo.training.distillation import make_trainer, start_from
from zoo.training.inputs import options_of
from zoo.training.selection import require_drawn


def all_stages(recipe: Recipe) -> Iterator[Recipe]:
    """A recipe and all trainings that come before it; those that two have in common twice."""
    yield recipe
    for stage in (recipe.start, recipe.teacher, *recipe.assistants):
        if stage is not None:
            yield from all_stages(stage)


def require_stages(recipe: Recipe) -> None:
    """Builds the networks of a recipe and of those that come before it, and joins them, untrained.

    A teacher trains for long before its student is built: an option that the student cannot have
    must come out first.

    Args:
        recipe: What is to be trained.

    Raises:
        UsageError: An option is unknown, a layer of the teacher is missing in the student or has
            another shape, an epoch is selected by latent weights that are not there, or high
            frequencies of hidden states are compared that are not there.
        OnebitError: A network cannot be built.
    """
    _untrained(recipe)
    # Keras numbers layers without a name; the training's shall have the numbers of a new process.
    keras.backend.reset_uids()


def _untrained(recipe: Recipe) -> keras.Model:
    """The network of a recipe, joined with its teachers."""
    dataset = datasets.get(recipe.dataset)
    options = options_of(recipe, dataset.input_shape, dataset.classes)
    if "weights" in options:
        options["weights"] = None  # they may have to be downloaded
    student = build(recipe.model, **options)
    require_drawn(recipe, student)
    teacher = recipe.teacher and _untrained(recipe.teacher)
    start = recipe.start and _untrained(recipe.start)
    assistants = [_untrained(assistant) for assistant in recipe.assistants]
    if start is None and recipe.init_from_teacher:
        start = teacher
    if start is not None:
        start_from(student, start, keep_scales=recipe.keep_scales)
    make_trainer(student, teacher, recipe, assistants)
    return student
