"""Going on to more epochs in a run folder, and the record of it.

A checkpoint, an epoch's order and its random numbers do not depend on how many epochs there will
be; a learning rate that falls over the whole training does, and so do assistants, which have equal
shares of all epochs. Where nothing does, the longer training is the same as one that was as long
from the beginning: the validation of a last epoch that `validate_every` would have passed over is
dropped. Where something does, there are two ways, and neither is that training:

hold      the added epochs keep the rate at which the decay ends, and the last assistant
stretch   the added epochs have the rates of a decay over all epochs, which jump up where it goes
          on, and the assistants of their shares
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebit import provenance
from onebit.errors import OnebitError, UsageError
from zoo.recipes import Recipe

HOLD, STRETCH = "hold", "stretch"
WAYS = (HOLD, STRETCH)

EXTENSIONS = "extensions"
"""Key of the records in a configuration and a card, in the order in which they were made."""


def is_longer(before: Any, now: Mapping[str, Any]) -> bool:
    """Whether a recipe, as JSON, differs from an earlier one in nothing but more epochs."""
    if not isinstance(before, dict):
        return False
    return {**before, "epochs": now["epochs"]} == now and before["epochs"] < now["epochs"]


def schedule_epochs(config: Mapping[str, Any]) -> int:
    """Over how many epochs the learning rate of the run with that configuration falls.

    Its assistants share these epochs too.
    """
    made = config.get(EXTENSIONS)
    return int(made[-1]["schedule_epochs"] if made else config["recipe"]["epochs"])


def extension(
    folder: Path,
    config: Mapping[str, Any],
    recipe: Recipe,
    *,
    done: int,
    way: str | None,
    accuracy: float | None,
) -> dict[str, Any]:
    """The record of an extension.

    Args:
        folder: The run folder, for messages.
        config: What the folder holds now.
        recipe: The same recipe with more epochs.
        done: How many epochs the newest checkpoint has behind it.
        way: One of `WAYS`; None where nothing depends on the number of epochs.
        accuracy: Of the finished run, on the test split; None for one that was stopped.

    Raises:
        UsageError: The learning rates or the assistants depend on the number of epochs and no way
            was chosen, or the rate to hold is 0.
        OnebitError: The run's checkpoint is gone.
    """
    before = schedule_epochs(config)
    if not done and accuracy is not None:
        raise OnebitError(
            f"{folder} has no checkpoint left to go on from; train all {recipe.epochs} epochs in "
            "another folder"
        )
    if not recipe.depends_on_epochs:
        way = None
    elif way is None:
        if recipe.rate_depends_on_epochs:
            what = f"learning rate falls to {recipe.final_learning_rate:g} within {before}"
            last, others = "at that rate", "rates"
        else:
            what = f"assistants have equal shares of {before}"
            last, others = "with the last one", "shares"
        raise UsageError(
            f"{folder} holds a run of {config['recipe']['epochs']} epochs, not {recipe.epochs}, "
            f"whose {what}; give --extend {HOLD} to go on {last}, --extend {STRETCH} to go on with "
            f"the {others} of {recipe.epochs} epochs, or --restart to train again"
        )
    elif way == HOLD and recipe.rate_depends_on_epochs and not recipe.final_learning_rate:
        raise UsageError(
            f"--extend {HOLD} would train at the learning rate 0, where this recipe's decay ends; "
            f"give --extend {STRETCH}"
        )
    return {
        "after_epoch": done,
        "epochs": recipe.epochs,
        "learning_rates": way,
        "schedule_epochs": before if way == HOLD else recipe.epochs,
        "accuracy_before": accuracy,
        "created": provenance.utc_now(),
        "commit": provenance.commit(),
    }
