"""BiFSMN for keyword spotting and its float baseline and teacher, a deep FSMN.

BiFSMN: Binary Neural Network for Keyword Spotting, arXiv 2202.06483; layer by layer as in
https://github.com/htqin/BiFSMN, models/torch/bidfsmn.py (BiDfsmnModel_thinnable, DfsmnModel_pre)
and basic.py. Two 5×5 convolutions with a stride of 2, a dense layer over the frequencies of each
frame, eight blocks that remember neighbouring frames, a dense layer over all. The first and the
last layer stay real. Thinnable: every second or every fourth block makes a network too, which
shares all weights but the batch normalisation and the PReLU that end a block.

Reported by the authors on Speech Commands V1-12: less than 3 points below the float network
(abstract), and 1.51 points for BiFSMNv2 (arXiv 2211.06987, abstract), which is not built here.

Differs from the program: its weights have a scale for each pair of channels (basic.py takes the
mean over a kernel's last dimensions), which no binary kernel multiplies by, and which makes the
weights of its 1×1 convolutions real: |w|·sign(w). Here binary layers have signs only where batch
normalisation follows, which divides by a scale anyway, and a scale per output in the one dense
layer without. sign(0) is +1, not 0; latent weights are clipped to [-1, 1]; the dense layer's
gradient has its scale. No bias in front of batch normalisation, whose momentum and epsilon are the
zoo's; strided convolutions pad one less at the beginning (TensorFlow's "same"); a frame's values
are ordered frequency first.
"""

from __future__ import annotations

from collections.abc import Sequence

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm, conv, seeded_dropout
from zoo.layers.quantizers import CentredSteSign
from zoo.layers.thinnable import PATHS, Paths
from zoo.layers.transformer_layers import HIDDEN_STATE
from zoo.models import Paper, register_model
from zoo.models._blocks import added, binary_conv, real_conv

PAPER = Paper("BiFSMN: Binary Neural Network for Keyword Spotting", "2202.06483")
KIND = "binary weights and activations"
THINNINGS = (1, 2, 4)
"""A path computes the last block of each group of this size."""

MEMORY = 5
"""Frames that a block remembers: two before, two behind and its own."""

HIDDEN = 2
"""Width between a block's two 1×1 convolutions, in multiples of the memory's."""


@register_model(family="BiFSMN", kind=KIND, paper=PAPER, float_baseline="dfsmn")
def bifsmn(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 12,
    *,
    width: int = 128,
    filters: int = 16,
    blocks: int = 8,
    thinned: int = 1,
    thinnable: bool = False,
) -> keras.Model:
    """BiFSMN, thinned or thinnable.

    Args:
        input_shape: `[T, F, 1]`: 32 frames of 32 log-mel energies are a second of speech.
        classes: Outputs.
        width: Channels of the memory.
        filters: Of the first convolution; the second has 2×.
        blocks: Of the deepest network, a multiple of `thinned`.
        thinned: 2 or 4 leave every second or fourth block only; 1 all.
        thinnable: Whether the networks that 2 and 4 leave are trained too. The output is that of
            the whole network; `zoo.layers.thinnable.thin` makes each a model.
    """
    _check_depth(blocks, thinned, thinnable)
    x = image = keras.Input(input_shape, name="image")
    x = _prelu(real_conv(x, filters, 5, strides=2, name="stem"), "stem_prelu")
    x = binary_conv(
        x, 2 * filters, 5, strides=2, kernel=CentredSteSign(), inputs=_sign(), name="stem_2"
    )
    x = _prelu(batch_norm(name="stem_2_bn")(x), "stem_2_prelu")
    x = lq.layers.QuantConv2D(
        width,
        1,
        kernel_quantizer=lq.quantizers.MagnitudeAwareSign(),
        kernel_constraint=lq.constraints.WeightClip(1.0),
        input_quantizer=_sign(),
        name="frames",
    )(_by_frame(x))
    x = _prelu(x, "frames_prelu")
    binary_blocks = [_BinaryBlock(width, number) for number in range(1, blocks + 1)]
    head = keras.layers.Dense(classes, name="logits")

    def path(thinning: int) -> tf.Tensor:
        y = x
        for block in binary_blocks[thinning - 1 :: thinning]:
            y = block(y, thinning)
        return head(keras.layers.Flatten(name=_named("flatten", thinning))(y))

    logits = path(thinned)
    if thinnable:
        logits = Paths(name=PATHS)([logits, *(path(thinning) for thinning in THINNINGS[1:])])
    return keras.Model(image, logits, name="bifsmn")


@register_model(family="Float", kind="float")
def dfsmn(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 12,
    *,
    width: int = 128,
    filters: int = 16,
    blocks: int = 8,
    dropout: float = 0.2,
) -> keras.Model:
    """The float baseline of BiFSMN and its teacher, a deep FSMN.

    Args:
        input_shape: `[T, F, 1]`: 32 frames of 32 log-mel energies are a second of speech.
        classes: Outputs.
        width: Channels of the memory.
        filters: Of the first convolution; the second has 2×.
        blocks: Their number.
        dropout: Fraction of a block's hidden values, and of the last layer's inputs, that training
            drops.
    """
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.ReLU(name="stem_relu")(real_conv(x, filters, 5, strides=2, name="stem"))
    x = real_conv(x, 2 * filters, 5, strides=2, name="stem_2")
    x = keras.layers.ReLU(name="stem_2_relu")(x)
    x = keras.layers.Conv2D(width, 1, activation="relu", name="frames")(_by_frame(x))
    for number in range(1, blocks + 1):
        block = f"block_{number}"
        y = keras.layers.DepthwiseConv2D(
            (MEMORY, 1), padding="same", use_bias=False, name=f"{block}_memory"
        )(x)
        y = _prelu(batch_norm(name=f"{block}_memory_bn")(y), f"{block}_memory_prelu")
        x = added(y, x, name=f"{block}_memory_add")
        y = real_conv(x, HIDDEN * width, 1, name=f"{block}_inner")
        y = keras.layers.ReLU(name=f"{block}_inner_relu")(y)
        if dropout:
            y = seeded_dropout(dropout, name=f"{block}_dropout")(y)
        y = real_conv(y, width, 1, name=f"{block}_outer")
        y = _prelu(y, f"{block}_outer_prelu")
        x = added(y, x, name=f"{block}_{HIDDEN_STATE}")
    x = keras.layers.Flatten(name="flatten")(x)
    if dropout:
        x = seeded_dropout(dropout, name="last_dropout")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="dfsmn")


class _BinaryBlock:
    """A block: its two residual parts; all paths share the layers but those that end it.

    Args:
        width: Channels of the memory.
        number: The block's, from 1.
    """

    def __init__(self, width: int, number: int):
        self._name = f"block_{number}"
        self._memory = [
            lq.layers.QuantDepthwiseConv2D(
                (MEMORY, 1),
                padding="same",
                use_bias=False,
                input_quantizer=_sign(),
                depthwise_quantizer=CentredSteSign(),
                depthwise_constraint=lq.constraints.WeightClip(1.0),
                name=f"{self._name}_memory",
            ),
            batch_norm(name=f"{self._name}_memory_bn"),
            _prelu_layer(f"{self._name}_memory_prelu"),
        ]
        self._inner = [
            _pointwise(HIDDEN * width, f"{self._name}_inner"),
            batch_norm(name=f"{self._name}_inner_bn"),
            _prelu_layer(f"{self._name}_inner_prelu"),
            _pointwise(width, f"{self._name}_outer"),
        ]

    def __call__(self, x: tf.Tensor, thinning: int) -> tf.Tensor:
        """`[N, T, 1, width]` → the same shape."""
        y = _through(self._memory, x)
        x = added(y, x, name=_named(f"{self._name}_memory_add", thinning))
        y = _through(self._inner, x)
        y = batch_norm(name=_named(f"{self._name}_outer_bn", thinning))(y)
        y = _prelu(y, _named(f"{self._name}_outer_prelu", thinning))
        return added(y, x, name=f"{_named(self._name, thinning)}_{HIDDEN_STATE}")


def _pointwise(filters: int, name: str) -> keras.layers.Layer:
    return conv(filters, size=1, kernel=CentredSteSign(), inputs=_sign(), name=name)


def _through(layers: Sequence[keras.layers.Layer], x: tf.Tensor) -> tf.Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _named(name: str, thinning: int) -> str:
    """The name of a layer that only one path has; the whole network's is that of the teacher."""
    return name if thinning == 1 else f"{name}_thinned_{thinning}"


def _sign() -> lq.quantizers.Quantizer:
    return lq.quantizers.SteSign()


def _prelu_layer(name: str) -> keras.layers.Layer:
    """A PReLU with one slope for all channels, 0.25 at first."""
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(slope, shared_axes=[1, 2, 3], name=name)


def _prelu(x: tf.Tensor, name: str) -> tf.Tensor:
    return _prelu_layer(name)(x)


def _by_frame(x: tf.Tensor) -> tf.Tensor:
    """`[N, T, F, C]` → `[N, T, 1, F·C]`."""
    _, frames, frequencies, channels = x.shape
    return keras.layers.Reshape((frames, 1, frequencies * channels), name="by_frame")(x)


def _check_depth(blocks: int, thinned: int, thinnable: bool) -> None:
    """Refuses depths that do not exist.

    Raises:
        ValueError: `blocks` cannot be thinned so, or a thinnable network is to be thinned.
    """
    if thinnable and thinned != 1:
        raise ValueError("a thinnable network is not thinned itself: leave thinned at 1")
    for thinning in THINNINGS if thinnable else (thinned,):
        if thinning not in THINNINGS or blocks % thinning:
            raise ValueError(
                f"blocks={blocks} cannot be thinned by {thinning}: thin by 1, 2 or 4, and give a "
                "multiple of it as blocks"
            )
