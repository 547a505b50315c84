import numpy as np

from onebit.keras import keras, tf
from zoo.training.losses import SmoothedCrossEntropy, SquaredHinge, make_loss


def _oracle(labels, logits):
    targets = np.full(logits.shape, -1.0)
    targets[np.arange(len(labels)), labels] = 1.0
    return np.mean(np.maximum(0, 1 - targets * logits) ** 2)


def test_it_is_the_mean_squared_hinge_of_one_against_the_rest():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(17, 5), scale=2).astype(np.float32)
    labels = generator.integers(5, size=17)
    for shape in [(17,), (17, 1)]:
        loss = SquaredHinge()(labels.reshape(shape), logits).numpy()
        # A sum of 85 float32 terms: relative rounding below 85 · 2^-24.
        np.testing.assert_allclose(loss, _oracle(labels, logits), rtol=85 * 2**-24)


def test_a_margin_of_one_costs_nothing_and_has_no_gradient():
    logits = tf.Variable([[1.0, -1.0, -3.0]])
    with tf.GradientTape() as tape:
        loss = SquaredHinge()([0], logits)
    assert loss == 0
    np.testing.assert_array_equal(tape.gradient(loss, logits), np.zeros((1, 3)))


def test_the_gradient_is_its_closed_form():
    values = np.array([[0.5, 0.25, -2.0]], np.float32)
    logits = tf.Variable(values)
    with tf.GradientTape() as tape:
        loss = SquaredHinge()([1], logits)
    targets = np.array([[-1, 1, -1]])
    expected = -2 * targets * np.maximum(0, 1 - targets * values) / 3
    # Two roundings of float32 on values below 1.
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=2**-22)


def test_it_serialises():
    config = keras.losses.serialize(SquaredHinge(name="hinge"))
    again = keras.losses.deserialize(config)
    assert isinstance(again, SquaredHinge)
    assert again.name == "hinge"


def test_smoothed_cross_entropy_is_its_closed_form():
    generator = np.random.default_rng(4)
    logits, labels = generator.normal(size=(9, 5)).astype(np.float32), generator.integers(5, size=9)
    targets = np.full((9, 5), 0.1 / 5)
    targets[np.arange(9), labels] += 0.9
    exact = logits.astype(np.float64)
    logs = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    expected = -(targets * logs).sum(-1).mean()
    for shape in [(9,), (9, 1)]:
        loss = make_loss("cross_entropy", 0.1)(labels.reshape(shape), logits).numpy()
        # Exponentials, logarithms and sums of 45 terms in float32.
        np.testing.assert_allclose(loss, expected, rtol=64 * 2**-24)
    config = keras.losses.serialize(SmoothedCrossEntropy(0.2))
    assert keras.losses.deserialize(config).smoothing == 0.2


def test_attention_is_compared_place_by_place():
    from zoo.training.distillation import attention_loss

    generator = np.random.default_rng(6)
    teacher, student = generator.normal(size=(2, 3, 4, 5, 7)).astype(np.float32)

    def places(volume):
        weight = np.square(volume.astype(np.float64)).sum(-1)
        return weight / weight.max((1, 2), keepdims=True)

    expected = np.square(places(teacher) - places(student)).mean()
    # Sums of 7 squares, a quotient, a mean of 60: relative rounding below 80 · 2^-24.
    found = attention_loss([teacher, teacher], [student, student])
    np.testing.assert_allclose(found, expected, rtol=80 * 2**-24)
    assert attention_loss([teacher], [3 * teacher]) < 1e-12
