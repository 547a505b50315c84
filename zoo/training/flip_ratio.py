"""Metrics of latent weights in training: their distribution and how many flip sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.keras import keras, lq, tf
from zoo.runs.weight_names import named_weights
from zoo.training.tensorboard import log_histogram


def latent_kernels(model: keras.Model) -> dict[str, Any]:
    """The variables of binary weights by their names, `hidden_1/kernel`, in the model's order."""
    return {
        name: variable
        for name, variable in named_weights(model).items()
        if variable.trainable and isinstance(variable, lq.quantized_variable.QuantizedVariable)
    }


class LatentMonitor:
    """Compares the signs of latent weights before and after an epoch.

    A weight that keeps flipping has not found its sign; the share of flips falls as training
    settles (An Empirical study of Binary Neural Networks' Optimisation, Alizadeh et al., ICLR
    2019, section 4).

    Args:
        model: Whose weights are watched.
    """

    def __init__(self, model: keras.Model):
        self._kernels = latent_kernels(model)
        self._signs: dict[str, NDArray[np.bool_]] = {}

    def begin(self) -> None:
        """Remembers the signs."""
        self._signs = {name: kernel.numpy() < 0 for name, kernel in self._kernels.items()}

    def flip_ratios(self) -> dict[str, float]:
        """Name → share of the weights whose sign differs from what it was at `begin`."""
        return {
            name: float(np.mean((kernel.numpy() < 0) != self._signs[name]))
            for name, kernel in self._kernels.items()
        }

    def flip_ratio(self) -> float | None:
        """The share over all binary weights; None where there are none."""
        counts = {name: signs.size for name, signs in self._signs.items()}
        if not counts:
            return None
        ratios = self.flip_ratios()
        return sum(ratios[name] * counts[name] for name in counts) / sum(counts.values())

    def log(self) -> None:
        """Writes histograms and flip ratios to the current TensorBoard writer."""
        for name, ratio in self.flip_ratios().items():
            tf.summary.scalar(f"flip_ratio/{name}", ratio)
            log_histogram(f"latent/{name}", self._kernels[name].numpy())
