"""Layers of transformers, of texts or images, binary where a quantizer is given."""

from __future__ import annotations

import math
from typing import Any

from onebit.keras import keras, lq, tf

PADDING = 0
"""The token id that fills a text up to the model's length."""

HIDDEN_STATE = "hidden_state"
"""Ends the names of the layers whose outputs distillation compares."""

HIDDEN_SCORE = -1e4
"""Added to the attention score of padding: e^-10000 is 0 in float32."""


@keras.utils.register_keras_serializable(package="onebit")
class TokenEmbedding(lq.layers_base.BaseLayer):
    """Rows of a table, quantized: ids `[N, S]` → `[N, S, units]`.

    Args:
        vocabulary: Rows.
        units: Columns.
        embeddings_quantizer: What the table goes through; None gives a plain embedding.
        initializer: Of the latent table.
        name: The layer's name.
    """

    def __init__(
        self,
        vocabulary: int,
        units: int,
        embeddings_quantizer: Any = None,
        initializer: Any = "uniform",
        name: str | None = None,
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.vocabulary, self.units = vocabulary, units
        self.embeddings_quantizer = lq.quantizers.get(embeddings_quantizer)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the table `[vocabulary, units]`."""
        self.embeddings = self.add_weight(
            "embeddings", [self.vocabulary, self.units], initializer=self.initializer
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The rows that the ids name."""
        with lq.context.quantized_scope(True):
            return tf.gather(tf.convert_to_tensor(self.embeddings), inputs)

    def _get_quantizer(self, name: str) -> Any:
        """The quantizer that Larq applies to a weight of that name when it is read."""
        return self.embeddings_quantizer if name == "embeddings" else None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "units": self.units,
            "embeddings_quantizer": lq.quantizers.serialize(self.embeddings_quantizer),
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.utils.register_keras_serializable(package="onebit")
class AddPositions(lq.layers_base.BaseLayer):
    """Adds a learned vector to each position: `[N, S, C]` or `[N, H, W, C]` → the same shape.

    Args:
        initializer: Of the vectors.
        positions: How many there are; at least S, and S when None. For maps, of rows.
        name: The layer's name.
        embeddings_quantizer: What the vectors go through; None leaves them real.
    """

    def __init__(
        self,
        initializer: Any = "uniform",
        positions: int | None = None,
        name: str | None = None,
        embeddings_quantizer: Any = None,
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.initializer = keras.initializers.get(initializer)
        self.positions = positions
        self.embeddings_quantizer = lq.quantizers.get(embeddings_quantizer)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the vectors, `[positions, C]` or `[H, W, C]`."""
        length, *others = (int(extent) for extent in input_shape[1:])
        positions = length if self.positions is None else self.positions
        if positions < length:
            raise ValueError(f"{positions} positions are too few for {length} tokens")
        self.embeddings = self.add_weight(
            "embeddings", [positions, *others], initializer=self.initializer
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The inputs plus the vectors, for tokens the first S."""
        with lq.context.quantized_scope(True):
            return inputs + tf.convert_to_tensor(self.embeddings)[: inputs.shape[1]]

    def _get_quantizer(self, name: str) -> Any:
        """The quantizer that Larq applies to a weight of that name when it is read."""
        return self.embeddings_quantizer if name == "embeddings" else None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
            "positions": self.positions,
            "embeddings_quantizer": lq.quantizers.serialize(self.embeddings_quantizer),
        }


@keras.utils.register_keras_serializable(package="onebit")
class PaddingMask(keras.layers.Layer):
    """Additive mask that hides padding: ids `[N, S]` → `[N, 1, 1, S]`, 0 or −10000."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`HIDDEN_SCORE` where an id is `PADDING`."""
        hidden = tf.cast(tf.equal(inputs, PADDING), self.compute_dtype) * HIDDEN_SCORE
        return hidden[:, tf.newaxis, tf.newaxis, :]


@keras.utils.register_keras_serializable(package="onebit")
class FirstToken(keras.layers.Layer):
    """The state of the first token: `[N, S, C]` → `[N, C]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The slice at position 0."""
        return inputs[:, 0]


@keras.utils.register_keras_serializable(package="onebit")
class Attention(keras.layers.Layer):
    """Scaled dot-product attention of several heads on quantized operands.

    [q, k, v, mask] → softmax(Q(q)·Q(k)ᵀ / √(C/heads) + mask), quantized, times Q(v): three
    `[N, S, C]` and a mask `[N, 1, 1, S]` → `[N, S, C]`. The mask may be left out; three
    `[N, G, S, C]`, as of G windows of an image, are N·G sequences.

    Attention Is All You Need, arXiv 1706.03762, equation 1; with the quantizers of BiT,
    arXiv 2205.13016, section 3. Each operand has its own, and one that is None leaves it real.

    Args:
        heads: How many parts the channels are split into.
        query_quantizer: Q of the queries.
        key_quantizer: Of the keys.
        value_quantizer: Of the values.
        probability_quantizer: Of the attention probabilities.
        name: The layer's name.
    """

    QUANTIZERS = (
        "query_quantizer",
        "key_quantizer",
        "value_quantizer",
        "probability_quantizer",
    )

    def __init__(
        self,
        heads: int,
        query_quantizer: Any = None,
        key_quantizer: Any = None,
        value_quantizer: Any = None,
        probability_quantizer: Any = None,
        name: str | None = None,
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.heads = heads
        self.query_quantizer = lq.quantizers.get(query_quantizer)
        self.key_quantizer = lq.quantizers.get(key_quantizer)
        self.value_quantizer = lq.quantizers.get(value_quantizer)
        self.probability_quantizer = lq.quantizers.get(probability_quantizer)

    def build(self, input_shape: list[tf.TensorShape]) -> None:
        """Checks that the heads divide the channels."""
        channels = int(input_shape[0][-1])
        if channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {channels} channels")
        super().build(input_shape)

    @property
    def product_macs(self) -> int:
        """Multiply-accumulates of both products for one text or image: 2·S²·C a sequence."""
        _, *sequences, length, channels = self.input_shape[0]
        return 2 * math.prod(sequences) * length * length * channels

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The attended values."""
        operands, mask = inputs[:3], inputs[3:]
        quantizers = (self.query_quantizer, self.key_quantizer, self.value_quantizer)
        query, key, value = (
            self._split(_quantized(x, quantizer))
            for x, quantizer in zip(operands, quantizers, strict=True)
        )
        scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(query.shape[-1])
        if mask:
            scores += mask[0]
        probabilities = _quantized(tf.nn.softmax(scores), self.probability_quantizer)
        context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])
        return tf.reshape(context, [-1, *operands[0].shape[1:]])

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """`[N, S, C]` or `[N, G, S, C]` → `[N·G, heads, S, C/heads]`."""
        length, channels = x.shape[-2:]
        parts = tf.reshape(x, [-1, length, self.heads, channels // self.heads])
        return tf.transpose(parts, [0, 2, 1, 3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        quantizers = {
            name: lq.quantizers.serialize(getattr(self, name)) for name in self.QUANTIZERS
        }
        return {**super().get_config(), "heads": self.heads, **quantizers}


def _quantized(x: tf.Tensor, quantizer: Any) -> tf.Tensor:
    return x if quantizer is None else quantizer(x)
