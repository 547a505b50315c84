"""Trains a recipe into a run folder; a killed training loses nothing but its running epoch.

Every epoch ends with the history, then a checkpoint. A resumed training takes the newest
checkpoint, drops what the history holds beyond it, and goes on exactly as the uninterrupted one
would: operations are deterministic, an epoch's order depends only on (seed, epoch), and the
checkpoint holds the random states of dropout and stochastic signs.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from onebit import files
from onebit.console import working
from onebit.errors import OnebitError, first_line
from onebit.keras import keras, tf
from zoo.datasets import Dataset, load_dataset
from zoo.datasets.preprocessing import Preprocessor
from zoo.factory import build
from zoo.layers.bnext_layers import set_temperature
from zoo.recipes import Recipe, resolve_recipe
from zoo.runs.run import (
    ASSISTANT,
    CHECKPOINTS,
    CONFIG,
    LOGS,
    PREVIOUS_STAGE,
    TEACHER,
    Run,
    load_run,
    read_history,
)
from zoo.training.batch_norm import (
    MAX_IMAGES,
    draws_weights,
    estimate_moments,
    estimates_moments,
    set_moments,
)
from zoo.training.checkpoints import (
    damaged_checkpoints,
    discard,
    epochs_done,
    finish,
    is_finished,
    newest_checkpoint,
    open_run_folder,
    random_states,
    write_history,
)
from zoo.training.distillation import make_trainer, start_from
from zoo.training.distribution import Distribution, make_distribution
from zoo.training.evaluation import BATCH_SIZE, accuracy, latent_figures, validation_figures
from zoo.training.extension import EXTENSIONS, schedule_epochs
from zoo.training.flip_ratio import LatentMonitor
from zoo.training.inputs import (
    batches,
    fitted_preprocessor,
    limited,
    options_of,
    require_channels,
)
from zoo.training.losses import make_loss
from zoo.training.optimizers import make_optimizer
from zoo.training.progress import Progress, Stepper
from zoo.training.selection import BestEpoch, require_selectable
from zoo.training.stages import require_stages
from zoo.training.tensorboard import log_epoch, log_hyperparameters


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
        UsageError: The recipe or the strategy is unknown, or the folder holds something else.
        OnebitError: The folder cannot be written, the data set is missing, or the loss is no
            longer a number.
        WorkerLostError: Another worker has gone.
    """
    if isinstance(recipe, str):
        command = command or shlex.join(["onebit", "zoo", "train", recipe, "-o", str(folder)])
        recipe = resolve_recipe(recipe)
    folder = Path(folder)
    files.require_writable(folder)
    if not restart and is_finished(folder, recipe):
        return load_run(folder)
    distribution = make_distribution(strategy)
    if (restart and folder.exists()) or (recipe.staged and not epochs_done(folder)):
        with working(f"checking {recipe.name}"):
            require_stages(recipe)
    with distribution.watching():
        try:
            _train(recipe, folder, data, restart, command, distribution, extend)
        except tf.errors.ResourceExhaustedError as error:
            raise OnebitError(
                f"{recipe.name} needs more memory than there is: {first_line(error)}",
                hint="give a smaller --set batch_size=N, or a smaller network",
            ) from error
    return load_run(folder)


def _train(
    recipe: Recipe,
    folder: Path,
    data: str | os.PathLike[str] | None,
    restart: bool,
    command: str | None,
    distribution: Distribution,
    extend: str | None = None,
) -> None:
    """Trains into a folder that holds no finished run of the recipe."""
    new = False
    with working(f"reading {recipe.dataset}"):
        dataset = load_dataset(recipe.dataset, data)
        dataset = limited(dataset, recipe.samples, recipe.train_samples)
        require_channels(recipe, dataset)
        options = options_of(recipe, dataset.input_shape, len(dataset.classes))
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

    def earlier(stage: Recipe | None, place: Path) -> keras.Model | None:
        """The model of a training before this one, which runs now unless it is finished."""
        if stage is None:
            return None
        if restart or not is_finished(place, stage):
            _train(stage, place, data, restart, command, distribution)
        return load_run(place).model

    start = earlier(recipe.start, folder / PREVIOUS_STAGE)
    shared = recipe.start is not None and recipe.start.teacher == recipe.teacher
    # A teacher that taught the earlier training too is finished there; --restart has remade it.
    restart = restart and not shared
    teacher = earlier(
        recipe.teacher, folder / PREVIOUS_STAGE / TEACHER if shared else folder / TEACHER
    )
    assistants = [
        earlier(assistant, folder / f"{ASSISTANT}_{number}")
        for number, assistant in enumerate(recipe.assistants, start=1)
    ]
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    # Rewrites the traced training step only: evaluation calls the model itself, in float32.
    tf.config.optimizer.set_experimental_options(
        {"auto_mixed_precision_onednn_bfloat16": recipe.compute == "bfloat16"}
    )
    if start is None and recipe.init_from_teacher:
        start = teacher
    with working(f"preparing {recipe.name}"), distribution.scope():
        preprocessor = fitted_preprocessor(recipe, dataset)
        try:
            student = build(recipe.model, **options)
            require_selectable(recipe, dataset, student, distribution.replicas)
            if start is not None:
                start_from(student, start, keep_scales=recipe.keep_scales)
            training = _Training(
                recipe, student, dataset, preprocessor, folder, distribution, teacher, assistants
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
        moments = latent_accuracy = None
        if estimates_moments(recipe, model):
            set_moments(model, estimate_moments(model, training.tested_inputs()))
        if draws_weights(model):
            moments, latent_accuracy = latent_figures(
                model, dataset.test, preprocessor, training.tested_inputs()
            )
        finish(
            folder,
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
                EXTENSIONS: files.read_json(folder / CONFIG).get(EXTENSIONS, []),
                "epoch": training.chosen_epoch,
            },
        )
    distribution.barrier()


class _Training:
    """One training: the model, its optimizer and how far both have come.

    Args:
        recipe: How to train.
        model: What to train.
        dataset: What to train on.
        preprocessor: What its images go through; None for token ids.
        folder: The run folder, claimed.
        distribution: Where it runs; the model was built in its scope.
        teacher: What it is distilled from, or None.
        assistants: What it learns from beside the teacher, one after the other.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: keras.Model,
        dataset: Dataset,
        preprocessor: Preprocessor | None,
        folder: Path,
        distribution: Distribution,
        teacher: keras.Model | None = None,
        assistants: Sequence[keras.Model] = (),
    ):
        self._recipe = recipe
        self._dataset = dataset
        self._preprocessor = preprocessor
        self._folder = folder
        self._distribution = distribution
        self._steps = math.ceil(len(dataset.train) / recipe.batch_size)

        self._model = model
        self._latent = LatentMonitor(model)
        # An extended run's rates may fall over fewer epochs than it has.
        epochs = schedule_epochs(files.read_json(folder / CONFIG))
        self._optimizer = make_optimizer(
            dataclasses.replace(recipe, epochs=epochs), self._steps * epochs
        )
        self._trainer = make_trainer(model, teacher, recipe, assistants)
        self._trainer.compile(
            self._optimizer, make_loss(recipe.loss, recipe.label_smoothing), metrics=["accuracy"]
        )
        # Their variables are made here: a step that made them would be traced twice.
        self._optimizer.build(self._trainer.trainable_variables)
        (answer,) = self._trainer.outputs
        self._trainer.compiled_metrics.build(answer, tf.zeros([1], tf.int64))

        self._batches = functools.partial(
            batches, preprocessor=preprocessor, batch_size=recipe.batch_size
        )
        self._done = tf.Variable(0, dtype=tf.int64)
        checkpoint = tf.train.Checkpoint(
            model=model,
            optimizer=self._optimizer,
            epochs_done=self._done,
            random_states=list(random_states(model)),
        )
        self._best = None if recipe.selection == "last" else BestEpoch(model, recipe.selection)
        if self._best:
            checkpoint.best = self._best.state
        # Every worker takes part in saving; what the others write is of no use.
        self._scratch = None if distribution.is_chief else tempfile.TemporaryDirectory()
        self._checkpoints = tf.train.CheckpointManager(
            checkpoint,
            self._scratch.name if self._scratch else str(folder / CHECKPOINTS),
            max_to_keep=1,
        )
        newest = newest_checkpoint(folder)
        if newest:
            try:
                checkpoint.restore(newest).assert_consumed()
            except (ValueError, AssertionError, tf.errors.OpError) as error:
                raise damaged_checkpoints(folder) from error
        self._history = read_history(folder)[: int(self._done.numpy())]

    @property
    def chosen_epoch(self) -> int:
        """The epoch whose weights `run` gave, counted from 1."""
        return self._best.epoch if self._best else self._recipe.epochs

    def run(self) -> keras.Model:
        """The model after the last epoch, or that of the best."""
        recipe, done = self._recipe, int(self._done.numpy())
        chief = self._distribution.is_chief
        logs = str(self._folder / LOGS)
        writer = tf.summary.create_file_writer(logs) if chief else tf.summary.create_noop_writer()
        with Progress(recipe.name, recipe.epochs, self._steps, done, shown=chief) as progress:
            stepper = Stepper(progress)
            for epoch in range(done + 1, recipe.epochs + 1):
                begin = time.perf_counter()
                record = self._epoch(epoch, stepper)
                with writer.as_default(step=epoch):
                    self._latent.log()
                    log_epoch(record, seconds=time.perf_counter() - begin)
                self._save(record)
                progress.epoch_done(record)
        writer.close()
        if self._best:
            self._best.restore()
        return self._model

    def _epoch(self, epoch: int, callback: keras.callbacks.Callback) -> dict[str, Any]:
        """Trains one epoch, counted from 1; its line of the history."""
        set_temperature(self._model, self._recipe.temperature(epoch))
        if self._recipe.assistants:
            self._trainer.learn_from(self._recipe.assistant(epoch))
        due = epoch % self._recipe.validate_every == 0 or epoch == self._recipe.epochs
        validation = self._dataset.validation if due else None
        self._latent.begin()
        # Several replicas keep their moving averages: the estimate runs in one process.
        alone = self._distribution.replicas == 1
        estimated = alone and estimates_moments(self._recipe, self._model)
        # One call of fit per epoch: its own shuffling could not resume in the middle.
        figures = self._trainer.fit(
            self._batches(self._dataset.train, order=(self._recipe.seed, epoch)),
            validation_data=None if estimated else validation and self._batches(validation),
            callbacks=[callback],
            verbose=0,
        ).history
        if estimated and validation is not None:
            figures |= validation_figures(
                self._trainer,
                self._batches(validation),
                validation,
                self._preprocessor,
                self.tested_inputs,
                latent=self._recipe.selection == "best_latent",
            )
        return {
            "epoch": epoch,
            "learning_rate": float(self._optimizer.learning_rate.numpy()),
            **{k: float(v[0]) if math.isfinite(v[0]) else None for k, v in figures.items()},
            "flip_ratio": self._latent.flip_ratio(),
        }

    def tested_inputs(self) -> Iterator[NDArray[Any]]:
        """Training inputs as in a test, for batch normalisation's moments."""
        split = self._dataset.train
        for images, _ in split[:MAX_IMAGES].batches(BATCH_SIZE).as_numpy_iterator():
            yield images if self._preprocessor is None else self._preprocessor(images)

    def _save(self, record: dict[str, Any]) -> None:
        """Makes an epoch permanent: history first, since the checkpoint says how much of it holds.

        Raises:
            OnebitError: The loss is no longer a number.
        """
        self._history.append(record)
        if self._distribution.is_chief:
            write_history(self._folder, self._history)
        if record["loss"] is None:
            raise OnebitError(
                f"the loss is no longer a number in epoch {record['epoch']}; "
                "set a lower learning_rate and train with --restart"
            )
        if self._best:
            self._best.offer(record)
        self._done.assign(record["epoch"])
        self._checkpoints.save()
