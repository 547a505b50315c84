"""Rewrites of the Keras model before Larq Compute Engine sees it.

A rewrite takes a model and returns one that computes the same, together with the names of the
layers that it changed. `REWRITES` lists them in the order in which they are applied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from convert.keras_model.rebuild import CannotRebuildError
from convert.rewrites.conv1d_to_conv2d import conv1d_to_conv2d
from convert.rewrites.dense_to_pointwise_conv import dense_to_pointwise_conv
from convert.rewrites.fix_large_kernels import fix_large_kernels
from convert.rewrites.norm_before_pool import norm_before_pool
from convert.rewrites.repeat_sign import repeat_sign
from onebit.keras import keras

Rewrite = Callable[[keras.Model], tuple[keras.Model, list[str]]]

REWRITES: list[Rewrite] = [
    # First: it looks for Larq convolutions, which the rewrites below may replace.
    norm_before_pool,
    # Before those that ask a layer for its own sign.
    repeat_sign,
    # Larq Compute Engine leaves every dense layer float; as a 1×1 convolution it becomes binary,
    # and so does a one-dimensional convolution as a two-dimensional one.
    dense_to_pointwise_conv,
    conv1d_to_conv2d,
    # Last: the layers made above hold quantized kernels already, whatever their size.
    fix_large_kernels,
]


@dataclass(frozen=True)
class Rewritten:
    """A model after the rewrites.

    Attributes:
        model: The model to convert; the given one when nothing fired.
        fired: Rewrite → names of the layers that it changed.
        skipped: Why the model was left as it is, or None.
        hint: How to build the model so that it can be rewritten, or None.
    """

    model: keras.Model
    fired: dict[str, list[str]] = field(default_factory=dict)
    skipped: str | None = None
    hint: str | None = None


def rewrite(model: keras.Model) -> Rewritten:
    """Applies `REWRITES`; a model that cannot be rebuilt is returned as it is, with the reason."""
    fired: dict[str, list[str]] = {}
    try:
        for step in REWRITES:
            model, layers = step(model)
            if layers:
                fired[step.__name__] = layers
    except CannotRebuildError as error:
        return Rewritten(model, fired, skipped=str(error), hint=error.hint)
    return Rewritten(model, fired)


__all__ = ["REWRITES", "Rewritten", "rewrite"]
