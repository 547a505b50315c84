"""Trains a recipe into a run folder; a killed training resumes with nothing lost but its epoch.

Every epoch ends with the history, then a checkpoint. A resumed training takes the newest
checkpoint, drops what the history holds beyond it, and goes on exactly as the uninterrupted one
would: operations are deterministic, an epoch's order depends on (seed, epoch) alone, and the
checkpoint holds the random states of dropout and stochastic signs.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import onebit
from onebit import files, provenance
from onebit.errors import OnebitError
from onebit.keras import keras, tf
from zoo import run as run_folder
from zoo.datasets import Dataset, Split, load_dataset
from zoo.losses import SquaredHinge
from zoo.progress import Progress
from zoo.recipes import Recipe, recipes
from zoo.registry import build, models
from zoo.run import Preprocessing, Run, load_run

EVALUATION_BATCH_SIZE = 500


def train(
    recipe: Recipe | str,
    folder: str | Path,
    *,
    restart: bool = False,
    command: str | None = None,
) -> Run:
    """Trains, or resumes training, and returns the finished run; at once when it is finished.

    Makes TensorFlow deterministic and seeds Python's, NumPy's and TensorFlow's generators for the
    whole process.

    Args:
        recipe: A recipe, or the name of a registered one.
        folder: The run folder; made when absent.
        restart: Remove an earlier run in that folder first.
        command: The command line to record, which resumes this training.

    Raises:
        UsageError: The recipe is unknown, or the folder holds a run of another one.
        OnebitError: The folder cannot be written, the data set is missing, or the loss is no
            longer a number.
    """
    if isinstance(recipe, str):
        command = command or shlex.join(["python", "-m", "zoo", "train", recipe, "-o", str(folder)])
        recipe = recipes.get(recipe)
    folder = Path(folder)
    files.require_writable(folder)
    if restart:
        _remove_run(folder)
    dataset = _limited(load_dataset(recipe.dataset), recipe.samples)
    recipe = _resolved(recipe, dataset)
    _claim(folder, recipe, dataset, command)
    if (folder / run_folder.CARD).is_file():
        return load_run(folder)

    model = _fit(recipe, dataset, folder)
    _finish(model, recipe, dataset, folder, command)
    return load_run(folder)


def _limited(dataset: Dataset, samples: int | None) -> Dataset:
    """The data set cut to the first `samples` of each split."""
    if samples is None:
        return dataset
    validation = dataset.validation and dataset.validation[:samples]
    return dataclasses.replace(
        dataset,
        train=dataset.train[:samples],
        validation=validation,
        test=dataset.test[:samples],
    )


def _resolved(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with every option of its model spelled out."""
    options = {
        **models.get(recipe.model).options,
        **recipe.options,
        "input_shape": dataset.input_shape,
        "classes": len(dataset.classes),
    }
    return dataclasses.replace(recipe, options=options)


def _claim(folder: Path, recipe: Recipe, dataset: Dataset, command: str | None) -> None:
    """Makes `folder` this training's run folder, or checks that it is.

    Raises:
        UsageError: It holds another training, or something else.
    """
    training = {
        **_json(dataclasses.asdict(recipe)),
        "dataset_sha256": dataset.sha256,
    }
    path = folder / run_folder.CONFIG
    if path.is_file():
        before = files.read_json(path).get("training", {})
        for key in training:
            if before.get(key) != training[key]:
                raise OnebitError(
                    f"{folder} holds a run with {key} {before.get(key)}, not {training[key]}; "
                    "give another folder or --restart"
                )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OnebitError(f"{folder} exists and is no run folder; give a new or empty one")
    files.write_json(
        path,
        {
            "schema_version": 1,
            "training": training,
            "command": command,
            "created": provenance.utc_now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(["tensorflow", "tf-keras", "larq", "numpy"]),
        },
    )


def _json(value: Any) -> Any:
    """`value` as reading it back from JSON gives it: tuples become lists."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value


def _remove_run(folder: Path) -> None:
    """Removes what a run consists of, and nothing else; the card first, which marks it finished."""
    for name in (run_folder.CARD, run_folder.MODEL, run_folder.SAMPLES, run_folder.HISTORY):
        (folder / name).unlink(missing_ok=True)
    for name in (run_folder.CHECKPOINTS, run_folder.LOGS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / run_folder.CONFIG).unlink(missing_ok=True)


def _fit(recipe: Recipe, dataset: Dataset, folder: Path) -> keras.Model:
    """The trained model."""
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    model = build(recipe.model, **recipe.options)
    steps = math.ceil(len(dataset.train) / recipe.batch_size)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(
            recipe.learning_rate,
            decay_steps=steps * recipe.epochs,
            decay_rate=recipe.final_learning_rate / recipe.learning_rate,
        )
    )
    # A second model around the same layers, so that the saved one carries no optimizer.
    trainer = keras.Model(model.inputs, model.outputs)
    trainer.compile(optimizer, SquaredHinge(), metrics=["accuracy"])
    optimizer.build(trainer.trainable_variables)

    checkpoint = tf.train.Checkpoint(
        model=model,
        optimizer=optimizer,
        epochs_done=tf.Variable(0, dtype=tf.int64),
        random_states=list(_random_states(model)),
    )
    manager = tf.train.CheckpointManager(
        checkpoint, str(folder / run_folder.CHECKPOINTS), max_to_keep=1
    )
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    done = int(checkpoint.epochs_done)
    history = run_folder.read_history(folder)[:done]

    writer = tf.summary.create_file_writer(str(folder / run_folder.LOGS))
    with Progress(recipe.name, recipe.epochs, steps, done) as progress:
        callback = keras.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: progress.step())
        for epoch in range(done, recipe.epochs):
            begin = time.perf_counter()
            logs = trainer.fit(
                _batches(dataset.train, recipe, epoch),
                validation_data=dataset.validation and _batches(dataset.validation, recipe, None),
                callbacks=[callback],
                verbose=0,
            ).history
            seconds = time.perf_counter() - begin
            record = {
                "epoch": epoch + 1,
                "learning_rate": float(optimizer.learning_rate),
                **{key: _finite(values[0]) for key, values in logs.items()},
            }
            history.append(record)
            with writer.as_default(step=epoch + 1):
                for key, value in record.items():
                    if key != "epoch" and value is not None:
                        tf.summary.scalar(key, value)
                tf.summary.scalar("seconds", seconds)
            writer.flush()
            run_folder.write_history(folder, history)
            if record["loss"] is None:
                raise OnebitError(
                    f"the loss is no longer a number in epoch {epoch + 1}; "
                    "train with a lower learning_rate and --restart"
                )
            checkpoint.epochs_done.assign(epoch + 1)
            manager.save()
            progress.epoch_done(record)
    return model


def _batches(split: Split, recipe: Recipe, epoch: int | None) -> tf.data.Dataset:
    """Preprocessed batches; in the order of (seed, epoch), or as they lie when epoch is None."""
    if epoch is not None:
        split = split[np.random.default_rng([recipe.seed, epoch]).permutation(len(split))]
    scale, offset = recipe.preprocessing.scale, recipe.preprocessing.offset
    return (
        tf.data.Dataset.from_tensor_slices((split.images, split.labels))
        .batch(recipe.batch_size)
        .map(lambda images, labels: (tf.cast(images, tf.float32) * scale + offset, labels))
        .prefetch(2)
    )


def _random_states(model: keras.Model) -> Iterator[tf.random.Generator]:
    """The generators that the model draws from in training, in the order of its layers."""
    for layer in model._flatten_layers(include_self=False):
        # Keras keeps dropout's generator out of checkpoints, though a resumed run needs it.
        hidden = getattr(getattr(layer, "_random_generator", None), "_generator", None)
        for generator in (hidden, getattr(layer, "generator", None)):
            if isinstance(generator, tf.random.Generator):
                yield generator


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def accuracy(model: keras.Model, split: Split, preprocessing: Preprocessing) -> float:
    """The fraction of the split's images whose largest logit is their label's."""
    right = 0
    for start in range(0, len(split), EVALUATION_BATCH_SIZE):
        part = split[start : start + EVALUATION_BATCH_SIZE]
        logits = model(preprocessing(part.images), training=False)
        right += int(np.sum(np.argmax(logits, axis=-1) == part.labels))
    return right / len(split)


def _finish(
    model: keras.Model, recipe: Recipe, dataset: Dataset, folder: Path, command: str | None
) -> None:
    """Writes the model, the samples and, last, the card that marks the run as finished."""
    with files.replacing(folder / run_folder.MODEL) as temporary:
        model.save(temporary)
    run_folder.save_samples(folder / run_folder.SAMPLES, dataset.test)
    files.write_json(
        folder / run_folder.CARD,
        {
            "schema_version": run_folder.CARD_SCHEMA_VERSION,
            "name": recipe.model,
            "options": _json(recipe.options),
            "recipe": recipe.name,
            "seed": recipe.seed,
            "commit": provenance.commit(),
            "created": provenance.utc_now(),
            "onebit_version": onebit.__version__,
            "dataset": {
                "name": dataset.name,
                "sha256": dataset.sha256,
                "train_samples": len(dataset.train),
                "test_samples": len(dataset.test),
            },
            "input_shape": list(dataset.input_shape),
            "preprocessing": dataclasses.asdict(recipe.preprocessing),
            "classes": list(dataset.classes),
            "accuracy": {
                "value": accuracy(model, dataset.test, recipe.preprocessing),
                "split": "test",
                "samples": len(dataset.test),
            },
            "parameters": model.count_params(),
            "model_sha256": files.sha256(folder / run_folder.MODEL),
            "samples_sha256": files.sha256(folder / run_folder.SAMPLES),
            "command": command,
        },
    )
