import math

import numpy as np
import pytest

from onebit.keras import keras, tf
from zoo.layers.channel_layers import ChannelMeans, ChannelScale, ChannelShift
from zoo.layers.elastic_quantizer import Elastic
from zoo.layers.quantizers import CentredScaledSign, centred_scaled_sign
from zoo.layers.transformer_layers import AddPositions, Attention
from zoo.layers.vision_layers import (
    JoinTokens,
    ShiftMix,
    TanhGELU,
    WindowTokens,
    join_windows,
    ring_mean,
    rolled,
    split_windows,
)

SEED = 31
EPSILON = 2.0**-24


def random(*shape):
    return np.random.default_rng([SEED, *shape]).normal(size=shape).astype(np.float32)


def spread(layer, x):
    """Builds a layer on `x` and moves its weights off their start."""
    layer(x)
    for weight in layer.weights:
        weight.assign(weight + 0.5 * random(*weight.shape))
    return layer


def test_windows_are_squares_row_by_row_and_join_to_the_map():
    x = random(2, 6, 9, 4)
    windows = split_windows(x, 3)
    assert windows.shape == (2, 6, 9, 4)
    for row in range(2):
        for column in range(3):
            square = x[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            np.testing.assert_array_equal(windows[:, 3 * row + column], square.reshape(2, 9, 4))
    np.testing.assert_array_equal(join_windows(windows, 6, 9, 3), x)


def test_window_tokens_append_the_same_summary_to_every_window():
    size, x = 3, random(2, 6, 9, 4)
    layer = spread(WindowTokens(size), x)
    tokens = layer(x).numpy()
    assert tokens.shape == (2, 6, 9 + 6, 4)
    np.testing.assert_array_equal(tokens[:, :, :9], split_windows(x, size))
    share = layer.share.numpy()
    for row in range(2):
        for column in range(3):
            # Places begin one above and left of the window; those outside are zeros of the mean.
            top, left = size * row - 1, size * column - 1
            seen = x[:, max(top, 0) : top + size, max(left, 0) : left + size]
            seen = seen.reshape(2, -1, 4)
            expected = share * seen.max(1) + (1 - share) * seen.sum(1) / size**2
            found = tokens[:, :, 9 + 3 * row + column]
            # A mean of nine numbers below 8, two products and a sum.
            np.testing.assert_allclose(found, np.stack([expected] * 6, 1), atol=8 * 12 * EPSILON)


def test_join_tokens_spread_the_mean_summary_over_its_windows():
    tokens = random(2, 6, 9 + 6, 4)
    layer = spread(JoinTokens(3, 6, 9), tokens)
    share = layer.share.numpy()
    summary = tokens[:, :, 9:].mean(1).reshape(2, 2, 3, 4).repeat(3, 1).repeat(3, 2)
    windows = np.asarray(join_windows(tokens[:, :, :9], 6, 9, 3))
    expected = share * windows + (1 - share) * summary
    # A mean of six numbers below 8, two products and a sum.
    np.testing.assert_allclose(layer(tokens), expected, atol=8 * 9 * EPSILON)


def test_a_map_that_windows_do_not_divide_gives_one_line():
    with pytest.raises(ValueError, match="map of 6×8 does not divide into windows of 3×3"):
        WindowTokens(3)(random(1, 6, 8, 4))


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("distance", [-2, -1, 1, 2])
def test_maps_roll_and_average_around_the_edges(axis, distance):
    x = random(2, 5, 6, 4)
    np.testing.assert_array_equal(rolled(x, distance, axis), np.roll(x, distance, axis))
    reach = abs(distance)
    expected = np.mean([np.roll(x, d, axis) for d in range(-reach, reach + 1)], 0)
    # A mean of at most five numbers below 8, in another order.
    np.testing.assert_allclose(ring_mean(x, reach, axis), expected, atol=8 * 6 * EPSILON)


def test_shift_mix_is_the_sum_of_its_scaled_maps():
    x = random(2, 5, 6, 8)
    layer = ShiftMix()
    np.testing.assert_array_equal(layer(x), np.zeros_like(x))
    spread(layer, x)
    maps = []
    for d in (1, 2):
        for axis in (1, 2):
            maps.append(np.mean([np.roll(x, k, axis) for k in range(-d, d + 1)], 0))
        moves = [(d, 1), (-d, 1), (d, 2), (-d, 2)]
        parts = [np.roll(q, *move) for q, move in zip(np.split(x, 4, -1), moves, strict=True)]
        maps.append(np.concatenate(parts, -1))
    pairs = zip(layer.scales, layer.shifts, maps, strict=True)
    expected = sum(scale.numpy() * x + shift.numpy() for scale, shift, x in pairs)
    # Six means, products and sums of numbers below 16.
    np.testing.assert_allclose(layer(x), expected, atol=16 * 20 * EPSILON)
    assert layer.count_params() == 2 * 6 * 8


def test_shift_mix_refuses_maps_that_are_too_small():
    with pytest.raises(ValueError, match=r"shifts by 2 need a map .*, not 1×6×8"):
        ShiftMix()(random(1, 1, 6, 8))


def test_channels_shift_scale_and_average():
    x = random(2, 3, 4, 6)
    shift = spread(ChannelShift(), x)
    np.testing.assert_array_equal(shift(x), x + shift.shift.numpy())
    scale = spread(ChannelScale(0.25), x)
    expected = x * scale.scale.numpy() + scale.shift.numpy()
    np.testing.assert_allclose(scale(x), expected, atol=8 * 2 * EPSILON)
    np.testing.assert_array_equal(ChannelScale(0.25)(x), x / 4)
    means = ChannelMeans(3)(x)
    # A mean of three numbers below 8.
    np.testing.assert_allclose(means, x.reshape(2, 3, 4, 2, 3).mean(-1), atol=8 * 3 * EPSILON)


def test_tanh_gelu_is_close_to_the_exact_one():
    x = np.linspace(-6, 6, 1001, dtype=np.float32)
    exact = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x.tolist()]
    assert 1e-4 < np.abs(TanhGELU()(x) - exact).max() < 5e-4


def test_the_layers_come_back_from_their_configurations():
    layers = (WindowTokens(3), JoinTokens(3, 6, 9), ShiftMix((1,)), ChannelScale(0.5))
    for layer in (*layers, ChannelMeans(4), ChannelShift(), TanhGELU()):
        config = keras.layers.serialize(layer)
        again = keras.layers.deserialize(config)
        assert again.get_config() == layer.get_config()


def test_positions_of_a_map_are_added_place_by_place():
    x = random(2, 3, 4, 5)
    layer = spread(AddPositions("zeros"), x)
    np.testing.assert_array_equal(layer(x), x + layer.embeddings.numpy())
    assert layer.embeddings.shape == (3, 4, 5)


def test_attention_of_windows_is_that_of_each_window_without_a_mask():
    query, key, value = random(3, 2, 4, 5, 8)
    layer = Attention(2)
    result = layer([query, key, value])
    mask = np.zeros([2, 1, 1, 5], np.float32)
    for window in range(4):
        operands = [x[:, window] for x in (query, key, value)]
        # The same products, whose order may be another: scores below 10, four terms.
        alone = Attention(2)([*operands, mask])
        np.testing.assert_allclose(result[:, window], alone, atol=10 * 2.0**-20)
    keras.Model(*_windows(layer))
    assert layer.product_macs == 2 * 4 * 5 * 5 * 8


def _windows(layer):
    inputs = [keras.Input((4, 5, 8)) for _ in range(3)]
    return inputs, layer(inputs)


def test_each_head_has_its_own_scale_and_threshold():
    quantizer = Elastic(2, False, per_channel=False, per_head=True, calibration=2.0)
    x = np.abs(random(4, 3, 5, 5))
    quantizer(x, training=True)
    expected = 2 * x.mean((0, 2, 3)) / np.sqrt(3)
    # Means of 100 terms.
    np.testing.assert_allclose(quantizer.scale.numpy().ravel(), expected, rtol=102 * EPSILON)
    quantizer.scale.assign(np.reshape([0.25, 0.5, 0.75], (3, 1, 1)))
    quantizer.threshold.assign(np.reshape([0.1, -0.2, 0.0], (3, 1, 1)))
    variable, upstream = tf.Variable(x), random(4, 3, 5, 5)
    with tf.GradientTape() as tape:
        y = quantizer(variable, training=False)
        loss = tf.reduce_sum(y * upstream)
    by_scale, by_threshold = tape.gradient(loss, [quantizer.scale, quantizer.threshold])
    for head in range(3):
        alone = Elastic(2, False, per_channel=False)
        alone(x[:, head])
        alone.scale.assign(quantizer.scale[head, 0, 0])
        alone.threshold.assign(quantizer.threshold[head, 0, 0])
        with tf.GradientTape() as tape:
            expected = alone(x[:, head], training=False)
            loss = tf.reduce_sum(expected * upstream[:, head])
        np.testing.assert_array_equal(y[:, head], expected)
        gradients = tape.gradient(loss, [alone.scale, alone.threshold])
        # Sums of 100 terms below 16, in another order.
        for found, alone_ in zip((by_scale, by_threshold), gradients, strict=True):
            np.testing.assert_allclose(found[head, 0, 0], alone_, atol=100 * 16 * EPSILON)
    again = Elastic.from_config(quantizer.get_config())
    assert (again.per_head, again.calibration) == (True, 2.0)
    with pytest.raises(ValueError, match="either per head or per channel"):
        Elastic(per_head=True)


def test_centred_scaled_sign_is_its_closed_form_with_its_gradient():
    w = random(3, 3, 4, 6) + 0.4
    w[0, 0, 0] += 3
    upstream = random(3, 3, 4, 6)
    variable = tf.Variable(w)
    with tf.GradientTape() as tape:
        y = centred_scaled_sign(variable)
        loss = tf.reduce_sum(y * upstream)
    axes = (0, 1, 2)
    centred = w - w.mean(axes)
    # Rounding must not decide.
    assert min(np.abs(centred).min(), np.abs(np.abs(centred) - 1).min()) > 1e-6
    expected = np.where(centred < 0, -1, 1) * np.abs(w).mean(axes)
    # Means of 36 terms.
    np.testing.assert_allclose(y, expected, rtol=37 * EPSILON)
    inside = upstream * (np.abs(centred) <= 1)
    assert 0 < np.mean(inside == 0) < 0.9
    gradient = tape.gradient(loss, variable)
    np.testing.assert_allclose(gradient, inside - inside.mean(axes), atol=8 * 37 * EPSILON)


def test_centred_scaled_signs_are_quantized_to_themselves():
    w = random(5, 7)
    w[:, 0], w[:, 1] = 0.3, -0.7  # channels of equal weights are all +1
    y = CentredScaledSign()(w)
    np.testing.assert_array_equal(CentredScaledSign()(y), y)
