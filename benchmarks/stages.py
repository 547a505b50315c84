"""Trainings that several recipes begin with, such as a teacher's, are made once."""

import shutil
from pathlib import Path

from zoo.recipes import Recipe
from zoo.runs.run import CARD, PREVIOUS_STAGE, TEACHER


def share_stages(folder: Path, recipe: Recipe, runs: Path) -> None:
    """Copies finished runs to where a training would make them again.

    Args:
        folder: The run folder of the training; it may be absent.
        recipe: What is trained there, with all settings.
        runs: A folder in which finished runs lie, at any depth.
    """
    from zoo.training.run_folder import is_finished

    for stage, name in ((recipe.teacher, TEACHER), (recipe.start, PREVIOUS_STAGE)):
        place = folder / name
        if stage is None or place.exists():
            continue
        finished = (card.parent for card in sorted(runs.rglob(CARD)))
        source = next((run for run in finished if is_finished(run, stage)), None)
        if source:
            shutil.copytree(source, place)
        else:
            share_stages(place, stage, runs)
