"""BERT for classification, binary as in BiT, and its float baselines.

BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, arXiv 1810.04805;
BiT: Robustly Binarized Multi-distilled Transformer, arXiv 2205.13016, section 3: weights of every
projection, of both feed-forward layers, of the pooler and of the token embedding are one bit,
activations elastic: {−α, α}, and {0, α} where they cannot be negative, which are the attention
probabilities and the outputs of ReLU. Layer normalisation, position embeddings, biases and the
classifier stay float.

Differs from the papers: no token-type embedding, as texts have one segment; no dropout, which a
model of this size does not need; ReLU in the float network too, where BiT's teacher has GELU, so
that stages can hand their weights on; the thresholds of queries, keys and values are applied (the
paper's code creates them, but leaves them out), and attention probabilities have one too unless
`probability_threshold` is off.

`binary_bert_base` takes 15.4 MiB: 13.0 of one-bit weights, 1.5 of position embeddings, which the
program has as floats too, 0.4 of thresholds, 0.3 of biases, 0.1 of normalisations. With
`position_bits=1` it takes 13.9, and 13.4 without thresholds and normalisations, which may be
how the paper counts its 13.4 MB. The `.tflite` of a trained one for texts of 32 tokens, with
as many positions, takes 14.6 with its graph and the scales of the table's rows.

The name says what the network is, not the method: BinaryBERT (arXiv 2012.15701), ternary weight
splitting with activations of 4 or 8 bits, and BiBERT (arXiv 2203.06390), with its bi-attention and
direction-matching distillation, are others and are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from onebit.keras import keras, lq
from zoo.layers.binary import Quantizer
from zoo.layers.elastic_quantizer import CentredSign, Elastic
from zoo.layers.transformer_layers import (
    HIDDEN_STATE,
    AddPositions,
    Attention,
    FirstToken,
    PaddingMask,
    TokenEmbedding,
)
from zoo.models import Paper, register_model

PAPER = Paper("BiT: Robustly Binarized Multi-distilled Transformer", "2205.13016")

NORM_EPSILON = 1e-12
INITIAL_DEVIATION = 0.02
BASE_POSITIONS = 512


@register_model(
    family="BiT",
    kind="binary weights and activations",
    paper=PAPER,
    float_baseline="bert_tiny",
)
def binary_bert_tiny(
    input_shape: tuple[int] = (32,),
    classes: int = 12,
    *,
    vocabulary: int = 4096,
    layers: int = 2,
    units: int = 128,
    heads: int = 2,
    activation_bits: int = 1,
    position_bits: int = 32,
    probability_threshold: bool = True,
) -> keras.Model:
    """A binary BERT that trains on two cores: 2 layers, 128 units, 2 heads.

    Args:
        input_shape: `[S]`, tokens of a text.
        classes: Outputs.
        vocabulary: Token ids.
        layers: Encoder layers.
        units: Channels of a token; the feed-forward layer in between has 4×.
        heads: Of the attention.
        activation_bits: 1, or more for the stages of a distillation.
        position_bits: 32, or 1 for position embeddings of one bit.
        probability_threshold: Whether attention probabilities have a trained threshold.
    """
    return _bert(
        "binary_bert_tiny",
        input_shape,
        classes,
        vocabulary=vocabulary,
        positions=input_shape[0],
        layers=layers,
        units=units,
        heads=heads,
        activation_bits=activation_bits,
        position_bits=position_bits,
        probability_threshold=probability_threshold,
    )


@register_model(family="Float", kind="float")
def bert_tiny(
    input_shape: tuple[int] = (32,),
    classes: int = 12,
    *,
    vocabulary: int = 4096,
    layers: int = 2,
    units: int = 128,
    heads: int = 2,
) -> keras.Model:
    """The float baseline of `binary_bert_tiny`: the same layers without quantizers.

    Args:
        input_shape: `[S]`, tokens of a text.
        classes: Outputs.
        vocabulary: Token ids.
        layers: Encoder layers.
        units: Channels of a token; the feed-forward layer in between has 4×.
        heads: Of the attention.
    """
    return _bert(
        "bert_tiny",
        input_shape,
        classes,
        vocabulary=vocabulary,
        positions=input_shape[0],
        layers=layers,
        units=units,
        heads=heads,
    )


@register_model(
    family="BiT",
    kind="binary weights and activations",
    paper=PAPER,
    float_baseline="bert_base",
)
def binary_bert_base(
    input_shape: tuple[int] = (128,),
    classes: int = 2,
    *,
    vocabulary: int = 30522,
    layers: int = 12,
    units: int = 768,
    heads: int = 12,
    activation_bits: int = 1,
    position_bits: int = 32,
    probability_threshold: bool = True,
) -> keras.Model:
    """BiT's binary BERT-base: 12 layers, 768 units, 12 heads; 512 positions.

    Args:
        input_shape: `[S]`, tokens of a text; at most 512.
        classes: Outputs.
        vocabulary: Token ids.
        layers: Encoder layers.
        units: Channels of a token; the feed-forward layer in between has 4×.
        heads: Of the attention.
        activation_bits: 1, or more for the stages of a distillation.
        position_bits: 32, or 1 for position embeddings of one bit.
        probability_threshold: Whether attention probabilities have a trained threshold.
    """
    return _bert(
        "binary_bert_base",
        input_shape,
        classes,
        vocabulary=vocabulary,
        positions=BASE_POSITIONS,
        layers=layers,
        units=units,
        heads=heads,
        activation_bits=activation_bits,
        position_bits=position_bits,
        probability_threshold=probability_threshold,
    )


@register_model(family="Float", kind="float")
def bert_base(
    input_shape: tuple[int] = (128,),
    classes: int = 2,
    *,
    vocabulary: int = 30522,
    layers: int = 12,
    units: int = 768,
    heads: int = 12,
) -> keras.Model:
    """The float baseline of `binary_bert_base`: BERT-base with ReLU.

    Args:
        input_shape: `[S]`, tokens of a text; at most 512.
        classes: Outputs.
        vocabulary: Token ids.
        layers: Encoder layers.
        units: Channels of a token; the feed-forward layer in between has 4×.
        heads: Of the attention.
    """
    return _bert(
        "bert_base",
        input_shape,
        classes,
        vocabulary=vocabulary,
        positions=BASE_POSITIONS,
        layers=layers,
        units=units,
        heads=heads,
    )


def _bert(
    name: str,
    input_shape: tuple[int],
    classes: int,
    *,
    vocabulary: int,
    positions: int,
    layers: int,
    units: int,
    heads: int,
    activation_bits: int | None = None,
    position_bits: int = 32,
    probability_threshold: bool = True,
) -> keras.Model:
    """The network with activations of that many bits and one-bit weights; float for None."""
    if position_bits not in (1, 32):
        raise ValueError(f"position_bits is 1 or 32, not {position_bits}")
    parts = _Parts(units, heads, activation_bits, probability_threshold)
    tokens = keras.Input((input_shape[0],), dtype="int32", name="tokens")
    mask = PaddingMask(name="padding_mask")(tokens)
    x = parts.embed(tokens, vocabulary, positions, position_bits)
    for index in range(1, layers + 1):
        x = parts.encode(x, mask, f"layer_{index}")
    x = FirstToken(name="first_token")(x)
    x = parts.project(x, units, "pooler", then="tanh")
    logits = keras.layers.Dense(classes, kernel_initializer=_initial(), name="logits")(x)
    return keras.Model(tokens, logits, name=name)


@dataclass(frozen=True)
class _Parts:
    """Makes the parts of a network, float where there are no `bits`.

    Attributes:
        units: Channels of a token.
        heads: Of the attention.
        bits: Of an activation, beside weights of one bit; None for a float network.
        probability_threshold: Whether attention probabilities have a trained threshold.
    """

    units: int
    heads: int
    bits: int | None
    probability_threshold: bool

    def embed(
        self, tokens: keras.KerasTensor, vocabulary: int, positions: int, position_bits: int
    ) -> keras.KerasTensor:
        """Token and position embeddings, added and normalised, `[N, S, units]`."""
        table = None if self.bits is None else CentredSign(per_row=True)
        x = TokenEmbedding(vocabulary, self.units, table, _initial(), name="token_embedding")(
            tokens
        )
        x = AddPositions(
            _initial(),
            positions,
            name="add_positions",
            embeddings_quantizer=CentredSign(per_row=True) if position_bits == 1 else None,
        )(x)
        return _norm(x, f"embedding_{HIDDEN_STATE}")

    def encode(self, x: keras.KerasTensor, mask: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """An encoder layer: attention and two feed-forward layers, each beside a shortcut."""
        y = self._attend(x, mask, name)
        y = self.project(y, self.units, f"{name}_attention_output")
        x = _residual(x, y, f"{name}_attention_norm")
        y = self.project(x, 4 * self.units, f"{name}_feed_forward_1", then="relu")
        y = self.project(y, self.units, f"{name}_feed_forward_2", signed=False)
        return _residual(x, y, f"{name}_{HIDDEN_STATE}")

    def project(
        self,
        x: keras.KerasTensor,
        outputs: int,
        name: str,
        *,
        signed: bool = True,
        then: str = "linear",
    ) -> keras.KerasTensor:
        """A dense layer of inputs that are `signed` or not, with the activation `then`."""
        options = {"activation": then, "kernel_initializer": _initial(), "name": name}
        if self.bits is None:
            return keras.layers.Dense(outputs, **options)(x)
        return lq.layers.QuantDense(
            outputs,
            input_quantizer=self._activation(f"{name}_inputs", signed),
            kernel_quantizer=CentredSign(),
            # Never reached by weights of this size; without it Larq warns of vanishing gradients.
            kernel_constraint=lq.constraints.WeightClip(1.0),
            **options,
        )(x)

    def _attend(
        self, x: keras.KerasTensor, mask: keras.KerasTensor, name: str
    ) -> keras.KerasTensor:
        """Each token's mixture of the values."""
        operands = [
            self.project(x, self.units, f"{name}_{kind}") for kind in ("query", "key", "value")
        ]
        return Attention(
            self.heads,
            query_quantizer=self._activation(f"{name}_queries"),
            key_quantizer=self._activation(f"{name}_keys"),
            value_quantizer=self._activation(f"{name}_values"),
            probability_quantizer=self._activation(
                f"{name}_probabilities",
                signed=False,
                per_channel=False,
                trained_threshold=self.probability_threshold,
            ),
            name=f"{name}_attention",
        )([*operands, mask])

    def _activation(self, name: str, signed: bool = True, **options: bool) -> Quantizer:
        if self.bits is None:
            return None
        return Elastic(self.bits, signed, name=name, from_minimum=True, **options)


def _initial() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=INITIAL_DEVIATION)


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=name)(x)


def _residual(x: keras.KerasTensor, y: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return _norm(keras.layers.Add(name=f"{name}_add")([x, y]), name)
