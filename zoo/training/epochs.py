"""The epochs of a training, each of which is saved: what is killed goes on after the last.

Every epoch ends with the history, then a checkpoint. A resumed training takes the newest
checkpoint, drops what the history holds beyond it, and goes on exactly as the uninterrupted one
would: operations are deterministic, an epoch's order depends only on (seed, epoch), and the
checkpoint holds the random states of dropout and stochastic signs.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from onebit import files
from onebit.errors import OnebitError
from onebit.keras import keras, tf
from zoo.datasets import Dataset
from zoo.datasets.preprocessing import Preprocessor
from zoo.layers.bnext_layers import set_temperature
from zoo.recipes import Recipe
from zoo.runs.run import CHECKPOINTS, CONFIG, HISTORY, LOGS, read_history
from zoo.training.batch_norm import MAX_IMAGES, estimates_moments
from zoo.training.checkpoints import (
    damaged_checkpoints,
    newest_checkpoint,
    random_states,
    write_history,
)
from zoo.training.distillation import make_trainer
from zoo.training.distribution import Distribution
from zoo.training.evaluation import BATCH_SIZE, validation_figures
from zoo.training.extension import schedule_epochs
from zoo.training.flip_ratio import LatentMonitor
from zoo.training.inputs import batches
from zoo.training.losses import make_loss
from zoo.training.optimizers import make_optimizer, quantizer_weights
from zoo.training.progress import Progress, Stepper
from zoo.training.selection import BestEpoch
from zoo.training.tensorboard import log_epoch


class Training:
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
        self.recipe = recipe
        self.dataset = dataset
        self.preprocessor = preprocessor
        self.folder = folder
        self._distribution = distribution
        self._steps = distribution.steps(len(dataset.train), recipe.batch_size)
        self._model = model
        self._latent = LatentMonitor(model)
        # An extended run's rates and assistants may be those of fewer epochs than it has.
        epochs = schedule_epochs(files.read_json(folder / CONFIG))
        self._scheduled = dataclasses.replace(recipe, epochs=epochs)
        self._optimizer = make_optimizer(
            self._scheduled, self._steps * epochs, quantizer_weights(model)
        )
        self._trainer = make_trainer(model, teacher, recipe, assistants)
        self._compile()
        self._batches = functools.partial(
            batches, preprocessor=preprocessor, batch_size=recipe.batch_size
        )
        self._done = tf.Variable(0, dtype=tf.int64)
        self._best = None if recipe.selection == "last" else BestEpoch(model, recipe.selection)
        # Every worker takes part in saving; what the others write is of no use.
        self._scratch = None if distribution.is_chief else tempfile.TemporaryDirectory()
        self._checkpoints = self._restored_checkpoints()
        self._history = self._read_history()

    def _compile(self) -> None:
        recipe = self.recipe
        self._trainer.compile(
            self._optimizer, make_loss(recipe.loss, recipe.label_smoothing), metrics=["accuracy"]
        )
        # Their variables are made here: a step that made them would be traced twice.
        self._optimizer.build(self._trainer.trainable_variables)
        (answer,) = self._trainer.outputs
        self._trainer.compiled_metrics.build(answer, tf.zeros([1], tf.int64))

    def _restored_checkpoints(self) -> tf.train.CheckpointManager:
        """Where the training is saved; its newest checkpoint is restored.

        Raises:
            OnebitError: The checkpoints are damaged.
        """
        checkpoint = tf.train.Checkpoint(
            model=self._model,
            optimizer=self._optimizer,
            epochs_done=self._done,
            random_states=list(random_states(self._model)),
        )
        if self._best:
            checkpoint.best = self._best.state
        manager = tf.train.CheckpointManager(
            checkpoint,
            self._scratch.name if self._scratch else str(self.folder / CHECKPOINTS),
            max_to_keep=1,
        )
        newest = newest_checkpoint(self.folder)
        if newest:
            try:
                checkpoint.restore(newest).assert_consumed()
            except (ValueError, AssertionError, tf.errors.OpError) as error:
                raise damaged_checkpoints(self.folder) from error
        return manager

    def _read_history(self) -> list[dict[str, Any]]:
        """The lines of the epochs that the restored checkpoint has behind it.

        Raises:
            OnebitError: There are fewer, or more than the one of an epoch that was not saved.
        """
        history, done = read_history(self.folder), int(self._done.numpy())
        if self._distribution.is_chief and not done <= len(history) <= done + 1:
            raise OnebitError(
                f"{self.folder / HISTORY} has {len(history)} epochs, and the newest checkpoint is "
                f"of epoch {done}; train again with --restart"
            )
        # Of a run that was extended since: its last epoch was validated as such.
        return [
            line
            if self._is_regular(epoch) or epoch == self.recipe.epochs
            else {key: value for key, value in line.items() if not key.startswith("val_")}
            for epoch, line in enumerate(history[:done], start=1)
        ]

    def _is_regular(self, epoch: int) -> bool:
        """Whether an epoch is validated wherever the training ends."""
        return epoch % self.recipe.validate_every == 0

    @property
    def chosen_epoch(self) -> int:
        """The epoch whose weights `run` gave, counted from 1."""
        return self._best.epoch if self._best else self.recipe.epochs

    def run(self) -> keras.Model:
        """The model after the last epoch, or that of the best."""
        recipe, done = self.recipe, int(self._done.numpy())
        chief = self._distribution.is_chief
        logs = str(self.folder / LOGS)
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
            if self._history and not self._is_regular(recipe.epochs):
                # Not saved: a longer training, which may follow, would not have validated it.
                self._best.offer(self._history[-1])
            self._best.restore()
        return self._model

    def _epoch(self, epoch: int, callback: keras.callbacks.Callback) -> dict[str, Any]:
        """Trains one epoch, counted from 1; its line of the history."""
        set_temperature(self._model, self.recipe.temperature(epoch))
        if self.recipe.assistants:
            self._trainer.learn_from(self._scheduled.assistant(epoch))
        due = self._is_regular(epoch) or epoch == self.recipe.epochs
        validation = self.dataset.validation if due else None
        self._latent.begin()
        # Several replicas keep their moving averages: the estimate runs in one process.
        alone = self._distribution.replicas == 1
        estimated = alone and estimates_moments(self.recipe, self._model)
        # One call of fit per epoch: its own shuffling could not resume in the middle.
        figures = self._trainer.fit(
            self._batches(self.dataset.train, order=(self.recipe.seed, epoch), most=self._steps),
            validation_data=None if estimated else validation and self._batches(validation),
            callbacks=[callback],
            verbose=0,
        ).history
        if estimated and validation is not None:
            figures |= validation_figures(
                self._trainer,
                self._batches(validation),
                validation,
                self.preprocessor,
                self.tested_inputs,
                latent=self.recipe.selection == "best_latent",
            )
        return {
            "epoch": epoch,
            "learning_rate": float(self._optimizer.learning_rate.numpy()),
            **{k: float(v[0]) if math.isfinite(v[0]) else None for k, v in figures.items()},
            "flip_ratio": self._latent.flip_ratio(),
        }

    def tested_inputs(self) -> Iterator[NDArray[Any]]:
        """Training inputs as in a test, for batch normalisation's moments."""
        split = self.dataset.train
        for images, _ in split[:MAX_IMAGES].batches(BATCH_SIZE).as_numpy_iterator():
            yield images if self.preprocessor is None else self.preprocessor(images)

    def _save(self, record: dict[str, Any]) -> None:
        """Makes an epoch permanent: history first, since the checkpoint says how much of it holds.

        Raises:
            OnebitError: The loss is no longer a number.
        """
        self._history.append(record)
        if self._distribution.is_chief:
            write_history(self.folder, self._history)
        if record["loss"] is None:
            raise OnebitError(
                f"the loss is no longer a number in epoch {record['epoch']}; "
                "set a lower learning_rate and train with --restart"
            )
        if self._best and self._is_regular(record["epoch"]):
            self._best.offer(record)
        self._done.assign(record["epoch"])
        self._checkpoints.save()
