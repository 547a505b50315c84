"""Trains a recipe and what comes before it, each into a run folder, or goes on with them.

A killed training loses nothing but its running epoch (`zoo.training.epochs`).
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onebit import files
from onebit.console import working
from onebit.errors import OnebitError, UsageError, first_line
from onebit.keras import keras, tf
from zoo.datasets import Dataset, naming_damage
from zoo.datasets.preprocessing import Preprocessor
from zoo.factory import build
from zoo.recipes import Recipe, resolve_recipe
from zoo.runs.run import ASSISTANT, CONFIG, LOGS, PREVIOUS_STAGE, TEACHER, Run, load_run
from zoo.training.batch_norm import draws_weights, estimate_moments, estimates_moments, set_moments
from zoo.training.checkpoints import epochs_done, finish, require_checkpoints_path
from zoo.training.distillation import start_from
from zoo.training.distribution import Distribution, make_distribution
from zoo.training.epochs import Training
from zoo.training.evaluation import accuracy, latent_figures
from zoo.training.extension import EXTENSIONS
from zoo.training.inputs import fitted_preprocessor, read_dataset
from zoo.training.run_folder import discard, is_finished, open_run_folder
from zoo.training.selection import require_drawn, require_validated
from zoo.training.stages import all_stages, require_stages
from zoo.training.tensorboard import log_hyperparameters


def train(
    recipe: Recipe | str,
    folder: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    restart: bool = False,
    command: str | None = None,
    strategy: str = "auto",
    extend: str | None = None,
) -> Run:
    """Trains, or resumes training, and returns the finished run; at once when it is finished.

    A run that differs in nothing but fewer epochs goes on to the recipe's.

    Makes TensorFlow deterministic and seeds Python's, NumPy's and TensorFlow's generators, for the
    whole process.

    Args:
        recipe: A recipe, or the name of a registered one.
        folder: The run folder; made when absent.
        data: The folder of data sets, as for `load_dataset`.
        restart: Remove an earlier run in that folder first.
        command: The command line to record, which resumes this training.
        strategy: Which devices train, as for `make_distribution`. Several workers need the same
            folder, on a file system that they share.
        extend: With which learning rates a run with fewer epochs goes on, where they depend on the
            number of epochs: "hold" or "stretch" (`zoo.training.extension`).

    Raises:
        UsageError: The recipe or the strategy is unknown, or the folder holds something else or
            cannot hold checkpoints.
        OnebitError: The folder cannot be written, the data set is missing or damaged, or the loss
            is no longer a number.
        WorkerLostError: Another worker has gone.
    """
    if isinstance(recipe, str):
        command = command or shlex.join(["onebit", "zoo", "train", recipe, "-o", str(folder)])
        recipe = resolve_recipe(recipe)
    folder = Path(folder)
    files.require_writable(folder)
    if not restart and is_finished(folder, recipe):
        return load_run(folder)
    require_checkpoints_path(folder)
    distribution = make_distribution(strategy)
    if (restart and folder.exists()) or (recipe.staged and not epochs_done(folder)):
        with working(f"checking {recipe.name}"):
            require_stages(recipe)
    with distribution.watching():
        try:
            _train(
                recipe,
                folder,
                data=data,
                restart=restart,
                command=command,
                distribution=distribution,
                extend=extend,
            )
        except tf.errors.ResourceExhaustedError as error:
            raise OnebitError(
                f"{recipe.name} needs more memory than there is: {first_line(error)}",
                hint="give a smaller --set batch_size=N, or a smaller network",
            ) from error
    return load_run(folder)


def _train(
    recipe: Recipe,
    folder: Path,
    *,
    data: str | os.PathLike[str] | None,
    restart: bool,
    command: str | None,
    distribution: Distribution,
    extend: str | None = None,
) -> None:
    """Trains into a folder that holds no finished run of the recipe."""
    new = False
    with working(f"reading {recipe.dataset}"):
        dataset, options = read_dataset(recipe, data)
        distribution.steps(len(dataset.train), recipe.batch_size)  # refuses before anything is lost
        for stage in all_stages(recipe):
            if stage.dataset == recipe.dataset:
                require_validated(stage, dataset, distribution.replicas)
        if distribution.is_chief:
            new = open_run_folder(
                folder,
                recipe,
                options,
                dataset,
                command=command,
                restart=restart,
                done=0 if restart else epochs_done(folder),
                extend=extend,
            )
            log_hyperparameters(folder / LOGS, recipe, options)
    distribution.barrier()
    train_stage = functools.partial(_train, data=data, command=command, distribution=distribution)
    stages = _earlier_stages(recipe, folder, restart, train_stage, dataset, data)
    _make_repeatable(recipe)
    with naming_damage(*dataset.splits):
        with working(f"preparing {recipe.name}"), distribution.scope():
            preprocessor = fitted_preprocessor(recipe, dataset)
            try:
                training = _prepared(
                    recipe, folder, dataset, preprocessor, options, distribution, stages
                )
            except (OnebitError, tf.errors.ResourceExhaustedError):
                if new and not recipe.staged:
                    discard(folder)
                raise
        model = training.run()
        if distribution.replicas > 1:
            # Every worker takes part in reading the averages; the copy needs no other worker.
            weights = model.get_weights()
            model = build(recipe.model, **options)
            model.set_weights(weights)
        if distribution.is_chief:
            _finish(training, model, options, command)
    distribution.barrier()


class _Stages(NamedTuple):
    """The trained networks that a training needs.

    Attributes:
        start: Whose weights it starts from.
        teacher: What it is distilled from.
        assistants: What it learns from beside the teacher.
    """

    start: keras.Model | None
    teacher: keras.Model | None
    assistants: list[keras.Model]


def _earlier_stages(
    recipe: Recipe,
    folder: Path,
    restart: bool,
    train_stage: Callable[..., None],
    dataset: Dataset,
    data: str | os.PathLike[str] | None,
) -> _Stages:
    """Trains what comes before a recipe, unless it is finished, and loads it.

    Args:
        recipe: What is trained after them.
        folder: Its run folder, in which theirs lie.
        restart: Whether to train finished ones again.
        train_stage: Called with a recipe, its folder and `restart`.
        dataset: The recipe's.
        data: The folder of data sets, as for `load_dataset`.

    Raises:
        UsageError: A finished one was trained on other data than there are now.
    """

    def model(stage: Recipe | None, place: Path, restart: bool) -> keras.Model | None:
        if stage is None:
            return None
        finished = not restart and is_finished(place, stage)
        if not finished:
            train_stage(stage, place, restart=restart)
        run = load_run(place)
        if finished:
            same = _data_of(stage) == _data_of(recipe)
            _require_data(run, dataset if same else read_dataset(stage, data)[0])
        return run.model

    start = model(recipe.start, folder / PREVIOUS_STAGE, restart)
    shared = recipe.start is not None and recipe.start.teacher == recipe.teacher
    # A teacher that taught the earlier training too is finished there; --restart has remade it.
    teacher = model(
        recipe.teacher,
        folder / PREVIOUS_STAGE / TEACHER if shared else folder / TEACHER,
        restart and not shared,
    )
    assistants = [
        model(assistant, folder / f"{ASSISTANT}_{number}", restart)
        for number, assistant in enumerate(recipe.assistants, start=1)
    ]
    if start is None and recipe.init_from_teacher:
        start = teacher
    return _Stages(start, teacher, assistants)


def _data_of(recipe: Recipe) -> tuple[str, int | None, int | None]:
    """The settings that decide a recipe's samples."""
    return recipe.dataset, recipe.samples, recipe.train_samples


def _require_data(run: Run, dataset: Dataset) -> None:
    """Checks that a finished run was trained on a data set as it is now.

    Raises:
        UsageError: Its data set had other content.
    """
    if run.card["dataset"]["sha256"] != dataset.sha256:
        raise UsageError(
            f"{run.folder} was trained on other content of {dataset.name} than there is now",
            hint="train it again with --restart, or give the data that it was trained on (--data)",
        )


def _make_repeatable(recipe: Recipe) -> None:
    """Seeds the process' generators and sets TensorFlow's options."""
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    # Rewrites what is traced: steps, validation and the estimate of moments. The final test calls
    # the model itself, in float32.
    tf.config.optimizer.set_experimental_options(
        {"auto_mixed_precision_onednn_bfloat16": recipe.compute == "bfloat16"}
    )


def _prepared(
    recipe: Recipe,
    folder: Path,
    dataset: Dataset,
    preprocessor: Preprocessor | None,
    options: Mapping[str, Any],
    distribution: Distribution,
    stages: _Stages,
) -> Training:
    """The training of a new network, which has the weights that it starts from."""
    student = build(recipe.model, **options)
    require_drawn(recipe, student)
    if stages.start is not None:
        start_from(student, stages.start, keep_scales=recipe.keep_scales)
    return Training(
        recipe,
        student,
        dataset,
        preprocessor,
        folder,
        distribution,
        stages.teacher,
        stages.assistants,
    )


def _finish(
    training: Training, model: keras.Model, options: Mapping[str, Any], command: str | None
) -> None:
    """Tests what was trained, and writes the run's files."""
    recipe, dataset, preprocessor = training.recipe, training.dataset, training.preprocessor
    moments = latent_accuracy = None
    if estimates_moments(recipe, model):
        set_moments(model, estimate_moments(model, training.tested_inputs()))
    if draws_weights(model):
        moments, latent_accuracy = latent_figures(
            model, dataset.test, preprocessor, training.tested_inputs()
        )
    finish(
        training.folder,
        model,
        recipe,
        options,
        dataset,
        preprocessor,
        accuracy=accuracy(model, dataset.test, preprocessor),
        latent_weights_accuracy=latent_accuracy,
        latent_moments=moments,
        command=command,
        more={
            EXTENSIONS: files.read_json(training.folder / CONFIG).get(EXTENSIONS, []),
            "epoch": training.chosen_epoch,
        },
    )
