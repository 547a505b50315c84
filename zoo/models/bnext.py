"""BNext-T, -S, -M and -L, and a small form with its float baseline.

Join the High Accuracy Club on ImageNet with A Binary Neural Network Ticket, arXiv 2211.12933, as in
the authors' program, https://github.com/hpi-xnor/BNext, `src/bnext.py`: MobileNet's sequence of
3×3 and 1×1 convolutions, all binary. Each has a gate per channel that sees both its input and its
output (information recoupling: "mix to binary"), a batch normalisation behind the gate and a
shortcut around all. In every second block the 3×3 convolution's output is also multiplied by its
shortcut, element by element (element-wise attention).

The program trains with all else real. Its `src/bnext_quant.py`, which no script of it uses, rounds
more to 8 bits, from the least to the greatest value: the first convolution's weights for each pair
of filter and input channel; the weights of both layers of a gate for each output, and their inputs
for each image (both to 32 bits, so not at all, by default); the last layer's weights for each
class, and its inputs for each image. Here training has all that real, and `onebit convert model
--int8` makes it 8-bit in the file, with one range of inputs for all images.

Differs from the program: with a stride of 2, zeros are padded at the end only; sign(0) is +1; batch
normalisation's epsilon is 1e-4 and its momentum the zoo's; biases of the gates start at 0; PReLUs
that it makes but does not apply are left out.
"""

from collections.abc import Sequence

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm
from zoo.layers.bnext_layers import AnnealedSign, LearnedMix
from zoo.layers.channel_layers import ChannelShift
from zoo.models import Paper, register_model
from zoo.models._blocks import added, avg_downsample, binary_conv, pooled_logits, real_conv

PAPER = Paper(
    "Join the High Accuracy Club on ImageNet with A Binary Neural Network Ticket", "2211.12933"
)
KIND = "binary weights and activations"
REDUCTION = 8
"""Channels of a convolution per unit of its gate's hidden layer."""
LATENT_LIMIT = 1.5
"""Latent weights and the gradient of activations' signs end at ± this."""


@register_model(family="BNext", kind=KIND, paper=PAPER)
def bnext_t(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 32,
    depths: tuple[int, ...] = (2, 2, 6, 2),
) -> keras.Model:
    """BNext-T: the size of ReActNet-A.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4, 8, 16 and 32 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "bnext_t")


@register_model(family="BNext", kind=KIND, paper=PAPER)
def bnext_s(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 48,
    depths: tuple[int, ...] = (2, 2, 6, 2),
) -> keras.Model:
    """BNext-S: half as wide again as BNext-T.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4, 8, 16 and 32 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "bnext_s")


@register_model(family="BNext", kind=KIND, paper=PAPER)
def bnext_m(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 48,
    depths: tuple[int, ...] = (4, 4, 8, 4),
) -> keras.Model:
    """BNext-M: BNext-S with more blocks.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4, 8, 16 and 32 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "bnext_m")


@register_model(family="BNext", kind=KIND, paper=PAPER)
def bnext_l(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    width: int = 64,
    depths: tuple[int, ...] = (4, 4, 16, 4),
) -> keras.Model:
    """BNext-L: wider than BNext-M, with twice its blocks in the third stage.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4, 8, 16 and 32 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "bnext_l")


@register_model(family="BNext", kind=KIND, paper=PAPER, float_baseline="float_bnext_mini")
def bnext_mini(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    width: int = 16,
    depths: tuple[int, ...] = (2, 2),
) -> keras.Model:
    """BNext for small images, of two stages instead of four; the sizes are ours.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4 and 8 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "bnext_mini")


@register_model(family="Float", kind="float")
def float_bnext_mini(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    width: int = 16,
    depths: tuple[int, ...] = (2, 2),
) -> keras.Model:
    """The float baseline of `bnext_mini`: the same layers without signs.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        width: Filters of the first convolution; the stages have 4 and 8 times as many.
        depths: Blocks of each stage, each of which halves the image and doubles the width.
    """
    return _bnext(input_shape, classes, width, depths, "float_bnext_mini", binary=False)


def _bnext(
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    depths: Sequence[int],
    name: str,
    *,
    binary: bool = True,
) -> keras.Model:
    """A first convolution that halves the image, a block that doubles the width, the stages."""
    image = keras.Input(input_shape, name="image")
    x = real_conv(image, width, 3, strides=2, name="stem")
    x = _block(x, 2 * width, 1, False, binary, "block_1")
    index = 1
    for stage, depth in enumerate(depths, start=2):
        for step in range(depth):
            index += 1
            filters, strides = width * 2**stage, 1 if step else 2
            attention = index % 2 == 0
            x = _block(x, filters, strides, attention, binary, f"block_{index}")
    x = _prelu(x, name="last_prelu")
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _block(
    x: tf.Tensor, filters: int, strides: int, attention: bool, binary: bool, name: str
) -> tf.Tensor:
    """A 3×3 convolution that may halve the image, then a 1×1 one, or two that double the width."""
    channels = x.shape[-1]
    x = unit(x, 3, strides, attention, binary, f"{name}_conv")
    if filters == channels:
        return unit(x, 1, 1, False, binary, f"{name}_pointwise")
    # Each has thresholds and a gate for itself: they are not one convolution of twice the filters.
    halves = [unit(x, 1, 1, False, binary, f"{name}_pointwise_{half}") for half in (1, 2)]
    return keras.layers.Concatenate(name=f"{name}_concat")(halves)


def unit(
    x: tf.Tensor, size: int, strides: int, attention: bool, binary: bool, name: str
) -> tf.Tensor:
    """A convolution with as many filters as channels, its gate and its shortcut.

    y = BN(g·c) + x', or with attention BN(g·c·r) + r, r = PReLU(x)': c is the convolution's output
    behind batch normalisation and PReLU, g its gate, and ' the means of 2×2 pixels where the
    convolution's stride is 2.

    Args:
        x: `[N, H, W, C]`.
        size: Height and width of the filters.
        strides: 1 or 2.
        attention: Whether the shortcut has a PReLU and is multiplied too.
        binary: Whether the convolution's weights and inputs are signs.
        name: Of the convolution; other layers' names begin with it.
    """
    channels = x.shape[-1]
    y = ChannelShift(name=f"{name}_shift")(x)
    y = _conv(y, channels, size, strides, binary, name)
    y = _prelu(batch_norm(name=f"{name}_bn")(y), name=f"{name}_prelu")
    gate = _gate(x, y, name=f"{name}_gate")
    shortcut = _prelu(x, name=f"{name}_shortcut_prelu") if attention else x
    if strides != 1:
        shortcut = avg_downsample(shortcut, name=f"{name}_pool")
    y = keras.layers.Multiply(name=f"{name}_gated")([y, gate])
    if attention:
        y = keras.layers.Multiply(name=f"{name}_attention")([y, shortcut])
    return added(batch_norm(name=f"{name}_gated_bn")(y), shortcut, name=f"{name}_add")


def _conv(
    x: tf.Tensor, filters: int, size: int, strides: int, binary: bool, name: str
) -> tf.Tensor:
    """A convolution of signs, or the float baseline's of real numbers."""
    if not binary:
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)
    return binary_conv(
        x,
        filters,
        size,
        strides=strides,
        kernel=AnnealedSign(),
        inputs=lq.quantizers.SteSign(clip_value=LATENT_LIMIT),
        initializer=keras.initializers.RandomNormal(stddev=1e-3),
        limit=LATENT_LIMIT,
        name=name,
    )


def _gate(x: tf.Tensor, y: tf.Tensor, *, name: str) -> tf.Tensor:
    """A squeeze and excitation of an input and an output mixed: → `[N, 1, 1, C]`, within (0, 1).

    σ(W₂·ReLU(W₁·mean(s·x' + (1 − s)·y) + b₁) + b₂), the mean over places. That of the mixture is
    the mixture of the means, which is less work, and so is the mean of x in place of x'; with an
    odd size x' would count its last row and column twice.

    Squeeze-and-Excitation Networks, arXiv 1709.01507, section 3, for the two layers.
    """
    channels = x.shape[-1]
    means = [
        keras.layers.AveragePooling2D(side.shape[1:3], name=f"{name}_{which}_mean")(side)
        for side, which in ((x, "input"), (y, "output"))
    ]
    x = LearnedMix(name=f"{name}_mix")(means)
    hidden = max(channels // REDUCTION, 1)
    x = keras.layers.Conv2D(hidden, 1, activation="relu", name=f"{name}_squeeze")(x)
    return keras.layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_excite")(x)


def _prelu(x: tf.Tensor, *, name: str) -> tf.Tensor:
    """A PReLU with a slope per channel, a quarter at first as in PyTorch."""
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(slope, shared_axes=[1, 2], name=name)(x)
