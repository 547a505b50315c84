"""Rewrites of the Keras model, for what cannot be put right in Larq Compute Engine's file.

Whatever can is done there, where every source profits: `convert/binariser`.
A rewrite takes a model and returns one that computes the same, together with the names of the
layers that it changed. `REWRITES` lists them in the order in which they are applied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from convert.keras_model.rebuild import CannotRebuildError
from convert.rewrites.conv1d_to_conv2d import conv1d_to_conv2d
from convert.rewrites.fix_large_kernels import fix_large_kernels
from onebit.keras import keras

Rewrite = Callable[[keras.Model], tuple[keras.Model, list[str]]]

REWRITES: list[Rewrite] = [
    # Padding with ones and dilation stand behind a reshape in the file, where LCE has no operator.
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
