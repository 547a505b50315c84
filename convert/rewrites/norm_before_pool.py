"""Batch normalisation behind a max-pooling → in front of it.

    conv → MaxPool → BN → sign   →   conv → BN → MaxPool → sign

Larq Compute Engine joins a normalisation with the convolution that it follows; a pooling between
keeps the convolution's output float, four times as many numbers as are left after it. In the second
form it joins conv → BN → sign into one LceBconv2d with packed output, and pools bits.

Exact where every gamma is positive: then BN(x) = (x − μ)·g + β with g = γ/√(σ² + ε) > 0 is
non-decreasing in every rounded operation, and max(BN(x)) = BN(max(x)). A negative gamma would turn
the largest into the smallest.
"""

from convert.keras_model.layer_graph import DOES_NOTHING, LayerGraph, nested_models
from convert.keras_model.rebuild import Replaced, Substitute, rebuild
from onebit.keras import keras, lq, tf


def norm_before_pool(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """Moves normalisations from behind a max-pooling of a Larq convolution to before it.

    It does not fire where a gamma is zero or negative, where anything else than the normalisation
    sees the pooled values, for layers used twice, nor where no Larq convolution (with or without a
    ReLU) feeds the pooling: elsewhere the normalisation would have more to do, not nothing.

    Returns:
        The model, and the names of the normalisations that were moved.

    Raises:
        CannotRebuildError: The model cannot be taken apart.
    """
    pairs = [pair for inner in nested_models(model) for pair in _pairs(inner)]
    if not pairs:
        return model, []
    norm_of = {id(pool): norm for pool, norm in pairs}
    moved = {id(norm) for _, norm in pairs}

    def replacement(layer: keras.layers.Layer) -> Replaced | None:
        if id(layer) in norm_of:
            norm = norm_of[id(layer)]
            return Replaced(NormThenPool(norm.get_config(), layer), norm.get_weights())
        if id(layer) in moved:
            return Replaced(keras.layers.Activation("linear", name=layer.name), [])
        return None

    return rebuild(model, replacement), [norm.name for _, norm in pairs]


def _pairs(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """The max-poolings and the normalisations that follow them, where the order may change."""
    graph = LayerGraph(model)
    found = []
    for norm in model.layers:
        if not isinstance(norm, keras.layers.BatchNormalization) or not _is_increasing(norm):
            continue
        pool = graph.only_parent(norm)
        if (
            isinstance(pool, keras.layers.MaxPooling1D | keras.layers.MaxPooling2D)
            and pool.data_format == "channels_last"
            and graph.feeds_only(pool, norm)
            and _follows_quantized_conv(graph, pool)
        ):
            found.append((pool, norm))
    return found


def _is_increasing(norm: keras.layers.BatchNormalization) -> bool:
    axes = norm.axis if isinstance(norm.axis, list | tuple) else [norm.axis]
    # A built normalisation counts its axes from the front.
    if not norm.built or list(axes) not in ([-1], [norm.input_spec.ndim - 1]):
        return False
    return norm.gamma is None or bool((norm.gamma.numpy() > 0).all())


def _follows_quantized_conv(graph: LayerGraph, pool: keras.layers.Layer) -> bool:
    below, layer = pool, graph.only_parent(pool)
    while isinstance(layer, (keras.layers.ReLU, *DOES_NOTHING)) or (
        isinstance(layer, keras.layers.Activation)
        and layer.activation is keras.activations.get("relu")
    ):
        if not graph.feeds_only(layer, below):
            return False
        below, layer = layer, graph.only_parent(layer)
    return isinstance(layer, lq.layers.QuantConv1D | lq.layers.QuantConv2D) and graph.feeds_only(
        layer, below
    )


class NormThenPool(Substitute):
    """A batch normalisation and then a max-pooling, in the pooling's place.

    Args:
        norm_config: The configuration of the normalisation that followed.
        pool: The pooling.
    """

    def __init__(self, norm_config: dict, pool: keras.layers.Layer) -> None:
        super().__init__(pool.name, again=lambda: NormThenPool(norm_config, pool))
        self.norm = keras.layers.BatchNormalization.from_config(norm_config)
        self.pool = pool.__class__.from_config(pool.get_config())

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the normalisation's weights `[C]`: gamma, beta, mean, variance."""
        self.norm.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes `pool(norm(inputs))`."""
        return self.pool(self.norm(inputs, training=False))
