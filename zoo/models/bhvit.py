"""BHViT: a hybrid vision transformer with binary convolutions, attention and feed-forward layers.

BHViT: Binarized Hybrid Vision Transformer, arXiv 2503.02394; layer by layer as in the authors'
program, https://github.com/IMRL/BHViT (transformer/BHViT.py, configs), with the options of its
script: `--replace-ln-bn --weight-bits=1 --input-bits=1 --shift3 --shift5`.

First stages mix places by three grouped binary convolutions of growing dilation, later ones by
attention within windows and a summary of all windows (`WindowTokens`). Every binary layer has
batch normalisation and a shortcut around it, RSign before and RPReLU behind. Queries, keys and
values are one bit; attention probabilities have four levels, a sum of three one-bit matrices in the
paper's words. The patch embedding and the classifier are real.

Differs from the program: sign(0) is +1, not 0; a group of channels has a convolution to itself, as
TensorFlow trains no grouped ones on processors; latent weights are clipped to [-1, 1]; attention
probabilities have a threshold in place of a zero point, which counts in probabilities instead of
levels, and their factor of 3, which the next batch normalisation cancels, is left out; GELU by a
tanh (`TanhGELU`), and no bias in front of the batch normalisation before it; batch normalisation's
epsilon is 1e-4 instead of 1e-5; neither dropout nor drop path, which the script has at 0.
"""

from __future__ import annotations

import itertools
from typing import Any

from onebit.keras import keras, lq, tf
from zoo.layers.binary import batch_norm
from zoo.layers.channel_layers import ChannelMeans, ChannelScale, ChannelShift
from zoo.layers.elastic_quantizer import Elastic
from zoo.layers.larq_zoo import SplitChannels
from zoo.layers.quantizers import CentredScaledSign
from zoo.layers.reactnet_layers import RPReLU, RSign
from zoo.layers.transformer_layers import AddPositions, Attention
from zoo.layers.vision_layers import JoinTokens, ShiftMix, TanhGELU, WindowTokens
from zoo.models import Paper, register_model
from zoo.models._blocks import added, pooled_logits

PAPER = Paper("BHViT: Binarized Hybrid Vision Transformer", "2503.02394")
KIND = "binary weights and activations"

GROUPS = 4
CONV_EXPANSION = 8
ATTENTION_EXPANSION = 4
"""How much wider the feed-forward layer in between is, in either kind of stage."""
PROBABILITY_BITS = 2
LAYER_NORM_EPSILON = 1e-5
INITIAL_DEVIATION = 0.02


@register_model(family="BHViT", kind=KIND, paper=PAPER)
def bhvit_tiny(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    depths: tuple[int, ...] = (2, 2, 6, 2),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    conv_stages: int = 2,
    dilations: tuple[int, ...] = (1, 3, 5),
    patch: int = 4,
    window: int = 7,
    head_width: int = 64,
    real_downsampling: bool = False,
) -> keras.Model:
    """BHViT-tiny: 4 blocks with convolutions, then 8 with attention.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        depths: Blocks of each stage.
        widths: Channels of each stage, each a multiple of the one before.
        conv_stages: How many stages have convolutions; the others have attention.
        dilations: Of the convolutions side by side, whose filters are 3×3.
        patch: Height and width of the first convolution's filter and stride.
        window: Height and width of a window of the attention.
        head_width: Channels of a head of the attention.
        real_downsampling: Whether the convolutions between stages are real.
    """
    options = (depths, widths, conv_stages, dilations, patch, window, head_width, real_downsampling)
    return _bhvit(input_shape, classes, *options, binary=True, name="bhvit_tiny")


@register_model(family="BHViT", kind=KIND, paper=PAPER)
def bhvit_small(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    *,
    depths: tuple[int, ...] = (3, 4, 8, 4),
    widths: tuple[int, ...] = (64, 128, 256, 512),
    conv_stages: int = 2,
    dilations: tuple[int, ...] = (1, 3, 5),
    patch: int = 4,
    window: int = 7,
    head_width: int = 64,
    real_downsampling: bool = False,
) -> keras.Model:
    """BHViT-small: 7 blocks with convolutions, then 12 with attention.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        depths: Blocks of each stage.
        widths: Channels of each stage, each a multiple of the one before.
        conv_stages: How many stages have convolutions; the others have attention.
        dilations: Of the convolutions side by side, whose filters are 3×3.
        patch: Height and width of the first convolution's filter and stride.
        window: Height and width of a window of the attention.
        head_width: Channels of a head of the attention.
        real_downsampling: Whether the convolutions between stages are real.
    """
    options = (depths, widths, conv_stages, dilations, patch, window, head_width, real_downsampling)
    return _bhvit(input_shape, classes, *options, binary=True, name="bhvit_small")


@register_model(family="BHViT", kind=KIND, paper=PAPER, float_baseline="float_bhvit_micro")
def bhvit_micro(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    depths: tuple[int, ...] = (1, 1),
    widths: tuple[int, ...] = (32, 64),
    conv_stages: int = 1,
    dilations: tuple[int, ...] = (1, 2, 3),
    patch: int = 4,
    window: int = 3,
    head_width: int = 32,
    real_downsampling: bool = False,
) -> keras.Model:
    """A BHViT for images of 28×28: a block with convolutions, then one with attention.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        depths: Blocks of each stage.
        widths: Channels of each stage, each a multiple of the one before.
        conv_stages: How many stages have convolutions; the others have attention.
        dilations: Of the convolutions side by side, whose filters are 3×3.
        patch: Height and width of the first convolution's filter and stride.
        window: Height and width of a window of the attention.
        head_width: Channels of a head of the attention.
        real_downsampling: Whether the convolutions between stages are real.

    Shape and dilations are ours, not the paper's.
    """
    options = (depths, widths, conv_stages, dilations, patch, window, head_width, real_downsampling)
    return _bhvit(input_shape, classes, *options, binary=True, name="bhvit_micro")


@register_model(family="Float", kind="float")
def float_bhvit_micro(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    depths: tuple[int, ...] = (1, 1),
    widths: tuple[int, ...] = (32, 64),
    conv_stages: int = 1,
    dilations: tuple[int, ...] = (1, 2, 3),
    patch: int = 4,
    window: int = 3,
    head_width: int = 32,
) -> keras.Model:
    """The float baseline of `bhvit_micro`: the same layers without quantizers.

    Args:
        input_shape: `[H, W, C]` of an image.
        classes: Outputs.
        depths: Blocks of each stage.
        widths: Channels of each stage, each a multiple of the one before.
        conv_stages: How many stages have convolutions; the others have attention.
        dilations: Of the convolutions side by side, whose filters are 3×3.
        patch: Height and width of the first convolution's filter and stride.
        window: Height and width of a window of the attention.
        head_width: Channels of a head of the attention.
    """
    options = (depths, widths, conv_stages, dilations, patch, window, head_width, False)
    return _bhvit(input_shape, classes, *options, binary=False, name="float_bhvit_micro")


def _bhvit(
    input_shape: tuple[int, int, int],
    classes: int,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    conv_stages: int,
    dilations: tuple[int, ...],
    patch: int,
    window: int,
    head_width: int,
    real_downsampling: bool,
    *,
    binary: bool,
    name: str,
) -> keras.Model:
    """Stages of blocks, each stage half as high and wide as the one before."""
    if len(depths) != len(widths):
        raise ValueError(f"{len(depths)} depths and {len(widths)} widths are not of as many stages")
    for before, width in itertools.pairwise(widths):
        if width % before:
            raise ValueError(f"{width} channels are not a multiple of the {before} before them")
    parts = _Parts(binary)
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(
        widths[0], patch, strides=patch, use_bias=False, kernel_initializer=_initial(), name="stem"
    )(image)
    x = batch_norm(name="stem_bn")(x)
    x = TanhGELU(name="stem_gelu")(x)
    x = AddPositions(_positions(), name="stem_positions")(x)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        convolves = stage <= conv_stages
        if stage > 1:
            x = parts.downsample(x, width, real_downsampling, f"downsample_{stage}")
        for step in range(1, depth + 1):
            block = f"stage_{stage}_{step}"
            y = batch_norm(name=f"{block}_mixer_bn")(x)
            if convolves:
                y = parts.convolutions(y, dilations, f"{block}_mixer")
            else:
                y = parts.attention(y, window, head_width, f"{block}_mixer")
            x = added(y, x, name=f"{block}_mixer_add")
            y = batch_norm(name=f"{block}_bn")(x)
            expansion = CONV_EXPANSION if convolves else ATTENTION_EXPANSION
            z = parts.feed_forward(y, expansion, f"{block}_feed_forward")
            shifted = ShiftMix(name=f"{block}_shifts")(y)
            x = keras.layers.Add(name=f"{block}_add")([z, x, shifted])
    x = batch_norm(name="last_bn")(x)
    return keras.Model(image, pooled_logits(x, classes), name=name)


def _initial() -> keras.initializers.Initializer:
    """Uniform within ±1/√inputs, PyTorch's for dense layers and convolutions."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _positions() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=INITIAL_DEVIATION)


class _Parts:
    """The parts of a network, which all take and give `[N, H, W, C]`.

    Args:
        binary: Whether they are quantized.
    """

    def __init__(self, binary: bool):
        self.binary = binary

    def conv(
        self,
        x: tf.Tensor,
        filters: int,
        size: int,
        name: str,
        *,
        inputs: Any = None,
        **options: Any,
    ) -> tf.Tensor:
        """A convolution, binary with `inputs` for its inputs' quantizer, RSign unless given."""
        options |= {"kernel_initializer": _initial(), "name": name}
        if not self.binary:
            return keras.layers.Conv2D(filters, size, **options)(x)
        return lq.layers.QuantConv2D(
            filters,
            size,
            input_quantizer=inputs or RSign(),
            kernel_quantizer=CentredScaledSign(),
            kernel_constraint=lq.constraints.WeightClip(1.0),
            **options,
        )(x)

    def dense(self, x: tf.Tensor, units: int, shortcut: tf.Tensor, name: str) -> tf.Tensor:
        """A dense layer of each place, batch normalisation, a shortcut, RPReLU."""
        y = self.conv(x, units, 1, name, use_bias=False)
        y = added(batch_norm(name=f"{name}_bn")(y), shortcut, name=f"{name}_add")
        return RPReLU(name=f"{name}_rprelu")(y)

    def downsample(self, x: tf.Tensor, width: int, real: bool, name: str) -> tf.Tensor:
        """Half the height and width, more channels, positions (`BinaryPatchEmbed`)."""
        x = batch_norm(name=f"{name}_inputs_bn")(x)
        if real:
            y = keras.layers.Conv2D(
                width, 2, strides=2, use_bias=False, kernel_initializer=_initial(), name=name
            )(x)
            y = batch_norm(name=f"{name}_bn")(y)
        else:
            y = self.conv(x, width, 2, name, strides=2, use_bias=False)
            y = batch_norm(name=f"{name}_bn")(y)
            pooled = keras.layers.AveragePooling2D(2, name=f"{name}_pool")(x)
            y = added(y, _repeated(pooled, width, name), name=f"{name}_add")
            y = RPReLU(name=f"{name}_rprelu")(y)
        return AddPositions(_positions(), name=f"{name}_positions")(y)

    def convolutions(self, x: tf.Tensor, dilations: tuple[int, ...], name: str) -> tf.Tensor:
        """The sum of grouped convolutions, each with its RPReLU (`token_mixer`)."""
        channels = x.shape[-1]
        x = ChannelShift(name=f"{name}_shift")(x)
        groups = SplitChannels(GROUPS, name=f"{name}_split")(x)
        branches = []
        for dilation in dilations:
            layer = f"{name}_dilation_{dilation}"
            convolved = [
                self.conv(
                    group,
                    channels // GROUPS,
                    3,
                    f"{layer}_group_{index}",
                    inputs="approx_sign",
                    padding="same",
                    dilation_rate=dilation,
                )
                for index, group in enumerate(groups, start=1)
            ]
            y = keras.layers.Concatenate(name=f"{layer}_concat")(convolved)
            branches.append(RPReLU(name=f"{layer}_rprelu")(y))
        return batch_norm(name=f"{name}_out_bn")(keras.layers.Add(name=f"{name}_sum")(branches))

    def attention(self, x: tf.Tensor, window: int, head_width: int, name: str) -> tf.Tensor:
        """Attention of windows and their summary (`BHViTSelfAttention`, `BHViTSelfOutput`)."""
        height, width, channels = x.shape[1:]
        if channels % head_width:
            raise ValueError(f"heads of {head_width} channels do not divide {channels} channels")
        heads = channels // head_width
        tokens = WindowTokens(window, name=f"{name}_tokens")(x)
        tokens = keras.layers.LayerNormalization(
            epsilon=LAYER_NORM_EPSILON, name=f"{name}_tokens_norm"
        )(tokens)
        operands = [
            self.dense(tokens, channels, tokens, f"{name}_{kind}")
            for kind in ("query", "key", "value")
        ]
        quantizers = {}
        if self.binary:
            quantizers = {f"{kind}_quantizer": RSign() for kind in ("query", "key", "value")}
            quantizers["probability_quantizer"] = Elastic(
                PROBABILITY_BITS, False, per_channel=False, per_head=True, calibration=2.0
            )
        y = Attention(heads, name=f"{name}_attention", **quantizers)(operands)
        y = batch_norm(name=f"{name}_attention_bn")(y)
        y = keras.layers.Add(name=f"{name}_attention_add")([y, *operands])
        y = RPReLU(name=f"{name}_attention_rprelu")(y)
        y = JoinTokens(window, height, width, name=f"{name}_join")(y)
        y = self.dense(y, channels, y, f"{name}_output")
        return ChannelScale(name=f"{name}_scale")(y)

    def feed_forward(self, x: tf.Tensor, expansion: int, name: str) -> tf.Tensor:
        """Two dense layers, the first wider than the second (`ViTIntermediate`, `ViTOutput`)."""
        channels = x.shape[-1]
        wide = channels * expansion
        y = self.dense(x, wide, _repeated(x, wide, f"{name}_1"), f"{name}_1")
        pooled = ChannelMeans(expansion, name=f"{name}_2_pool")(y)
        y = self.dense(y, channels, pooled, f"{name}_2")
        return ChannelScale(name=f"{name}_scale")(y)


def _repeated(x: tf.Tensor, width: int, name: str) -> tf.Tensor:
    """The channels one copy behind the other until there are `width` of them."""
    if width == x.shape[-1]:
        return x
    return keras.layers.Concatenate(name=f"{name}_repeat")([x] * (width // x.shape[-1]))
