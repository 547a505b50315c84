"""Training on several processors or machines, through tf.distribute.

    >>> with make_distribution("multi-worker") as distribution, distribution.scope():
    ...     model = zoo.build("binary_net_mlp")

The batch of a recipe is the global one: each of W devices takes 1/W of it, and batch normalisations
see all of it, so that the result does not depend on W > 1 but for rounding. With one device an
epoch has its last samples too, which are less than a batch: parts of unequal size, some of them
empty, would weigh the same.

Other statistics of a batch are those of a device's part: elastic quantizers' first scales and the
factor of their gradients, 1/√(n·H), and BiFSMN's and BNext's losses.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from onebit import console
from onebit.errors import OnebitError, UsageError, first_line
from onebit.keras import tf

STRATEGIES = ("auto", "mirrored", "multi-worker")

EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)

FAILURE_TIMEOUT_S = 60
"""How long a worker waits for the others in one step before it takes one of them for dead."""


_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""Errors that TensorFlow raises when a worker has gone."""


class WorkerLostError(OnebitError):
    """Another worker of a training has gone."""


class Distribution:
    """Where a training runs.

    Attributes:
        strategy: TensorFlow's own.
        is_chief: Whether this process writes the run; with one worker it always does.
        workers: How many processes train together.
    """

    def __init__(self, strategy: Any, *, is_chief: bool = True, workers: int = 1):
        self.strategy = strategy
        self.is_chief = is_chief
        self.workers = workers

    @property
    def replicas(self) -> int:
        """How many copies of the model train, each on a part of the batch."""
        return self.strategy.num_replicas_in_sync

    def steps(self, samples: int, batch_size: int) -> int:
        """The batches of an epoch: with one device also the last samples, less than a batch.

        Raises:
            UsageError: Several devices cannot have equal parts of a batch, or there is none.
        """
        if self.replicas == 1:
            return math.ceil(samples / batch_size)
        if batch_size % self.replicas:
            raise UsageError(
                f"batch_size {batch_size} has no {self.replicas} equal parts for as many devices; "
                f"give --set batch_size={max(batch_size // self.replicas, 1) * self.replicas}"
            )
        if samples < batch_size:
            raise UsageError(
                f"{samples} samples are less than a batch of {batch_size}, which several devices "
                "need; give a smaller --set batch_size"
            )
        return samples // batch_size

    def scope(self) -> AbstractContextManager[Any]:
        """Within it, variables are made on every device."""
        return self.strategy.scope()

    def barrier(self) -> None:
        """Returns when every worker has called it."""
        if self.workers > 1:
            ones = self.strategy.run(lambda: tf.constant(1.0))
            self.strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None).numpy()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within it, the loss of another worker becomes one line.

        Raises:
            WorkerLostError: Another worker has gone, or cannot be reached.
        """
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            reason = first_line(error).rpartition("}} ")[2]  # behind the operation's name
            raise WorkerLostError(
                f"another worker has gone or cannot be reached ({reason}); start this training "
                "again on every worker: it resumes after the last whole epoch"
            ) from error


@functools.cache
def make_distribution(name: str) -> Distribution:
    """The distribution of that name; to be called before TensorFlow computes anything.

    Args:
        name: "mirrored" trains on all devices of this machine; "multi-worker" together with the
            processes that the environment variable TF_CONFIG lists; "auto" is "multi-worker" where
            TF_CONFIG is set, "mirrored" with several GPUs, and one device otherwise.

    Raises:
        UsageError: The name is unknown, or TF_CONFIG is missing or wrong.
    """
    if name not in STRATEGIES:
        raise UsageError(f"strategy is one of {', '.join(STRATEGIES)}, not {name!r}")
    if name == "multi-worker" or (name == "auto" and os.environ.get("TF_CONFIG")):
        return _multi_worker()
    devices = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        devices = devices or tf.config.list_logical_devices("CPU")
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    if len(devices) > 1:
        return Distribution(tf.distribute.MirroredStrategy())
    return Distribution(tf.distribute.get_strategy())


def _multi_worker() -> Distribution:
    index, addresses = parse_tf_config(os.environ.get("TF_CONFIG", ""))
    if len(addresses) == 1:
        return Distribution(tf.distribute.get_strategy())
    console.say(f"worker {index} of {len(addresses)}, {addresses[index]}")
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=FAILURE_TIMEOUT_S)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return Distribution(strategy, is_chief=index == 0, workers=len(addresses))


def parse_tf_config(text: str) -> tuple[int, list[str]]:
    """This worker's index and all workers' addresses.

    Raises:
        UsageError: The text does not describe a cluster of workers with this process in it.
    """
    try:
        config = json.loads(text)
        addresses, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        if set(config["cluster"]) != {"worker"} or task["type"] != "worker":
            raise ValueError("only tasks of type worker are known")
        if not 0 <= index < len(addresses):
            raise ValueError(f"there is no worker {index} among {len(addresses)}")
        if len(set(addresses)) != len(addresses):
            raise ValueError("two workers have one address")
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--strategy multi-worker needs the environment variable TF_CONFIG on each worker, "
            f"such as {EXAMPLE} ({error})"
        ) from error
    return index, addresses
