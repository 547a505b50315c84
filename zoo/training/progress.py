"""Progress of a training on standard error: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich import progress as rich_progress

from onebit import console
from onebit.keras import keras

LINE_INTERVAL_S = 5.0
"""How often a plain line is written at most; the last epoch's always is."""


class Progress:
    """Shows the steps and epochs of a training while the `with` block runs.

    Args:
        name: What is trained.
        epochs: Epochs in all.
        steps: Steps an epoch.
        done: Epochs that an earlier session finished.
        shown: Whether anything is shown.
    """

    def __init__(self, name: str, epochs: int, steps: int, done: int, *, shown: bool = True):
        self._name = name
        self._epochs = epochs
        self._steps = steps
        self._done = done
        self._shown = shown
        self._last_line = -LINE_INTERVAL_S
        self._live = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=24),
            rich_progress.TextColumn("epoch {task.fields[epoch]}"),
            rich_progress.TextColumn("{task.fields[figures]}"),
            rich_progress.TimeRemainingColumn(),
            console=console.stderr_console,
            disable=not (shown and console.stderr_console.is_terminal),
        )
        self._task = self._live.add_task(
            name, total=epochs * steps, completed=done * steps, epoch=f"{done}/{epochs}", figures=""
        )

    def __enter__(self) -> Progress:
        if self._shown and self._done:
            console.say(f"{self._name}: resuming after epoch {self._done}/{self._epochs}")
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def step(self) -> None:
        """One more batch is done."""
        self._live.advance(self._task)

    def epoch_done(self, record: Mapping[str, Any]) -> None:
        """One more epoch is done and saved."""
        epoch = record["epoch"]
        figures = ", ".join(
            f"{key.replace('_', ' ')} {record[key]:.4f}"
            for key in ("loss", "accuracy", "val_accuracy")
            if record.get(key) is not None
        )
        self._live.update(
            self._task,
            completed=epoch * self._steps,
            epoch=f"{epoch}/{self._epochs}",
            figures=figures,
        )
        now = time.monotonic()
        due = now - self._last_line >= LINE_INTERVAL_S or epoch == self._epochs
        if self._shown and self._live.disable and due:
            self._last_line = now
            console.say(f"{self._name}: epoch {epoch}/{self._epochs}: {figures}")


class Stepper(keras.callbacks.Callback):
    """Moves the progress line on with each step of Keras' `fit`."""

    def __init__(self, progress: Progress):
        super().__init__()
        self._progress = progress

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Called by Keras after each step."""
        self._progress.step()
