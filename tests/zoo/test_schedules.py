import numpy as np
import pytest

from onebit.errors import UsageError
from onebit.keras import keras, tf
from zoo.recipes import Recipe, resolve_recipe
from zoo.training.schedules import WarmUp, make_schedule

STEPS = 40


def _rates(first=None, **fields):
    recipe = Recipe("float_mlp", "mnist_5k", epochs=10, learning_rate=0.5, **fields)
    schedule = make_schedule(recipe, STEPS, first)
    return np.array([float(schedule(tf.constant(step))) for step in range(STEPS + 1)])


# Powers and cosines of float32: some units in the last place of values up to 1.
ROUNDING = 8 * 2**-24


def test_exponential_linear_and_cosine_are_their_closed_forms():
    t = np.arange(STEPS + 1) / STEPS
    np.testing.assert_allclose(
        _rates(final_learning_rate=0.005), 0.5 * 0.01**t, rtol=0, atol=ROUNDING
    )
    linear = _rates(schedule="linear", final_learning_rate=0.0)
    np.testing.assert_allclose(linear, 0.5 * (1 - t), rtol=0, atol=ROUNDING)
    cosine = _rates(schedule="cosine", final_learning_rate=0.1)
    expected = 0.1 + 0.4 * (1 + np.cos(np.pi * t)) / 2
    np.testing.assert_allclose(cosine, expected, rtol=0, atol=ROUNDING)


def test_steps_change_the_rate_at_the_beginning_of_their_epochs():
    rates = _rates(schedule="steps", boundaries=(3, 8), factors=(0.5, 0.01))
    epochs = np.arange(STEPS + 1) // 4
    expected = np.where(epochs < 3, 0.5, np.where(epochs < 8, 0.25, 0.005))
    np.testing.assert_allclose(rates, expected, rtol=2**-23)


@pytest.mark.parametrize("schedule", ["cosine", "steps"])
def test_a_warm_up_rises_to_the_first_rate_and_keeps_the_boundaries(schedule):
    extra = {"boundaries": (3, 8), "factors": (0.5, 0.01)} if schedule == "steps" else {}
    rates = _rates(schedule=schedule, final_learning_rate=0.0, warmup_epochs=2, **extra)
    np.testing.assert_allclose(rates[:8], 0.5 * np.arange(1, 9) / 8, atol=ROUNDING)
    assert rates[8] == 0.5
    if schedule == "steps":
        assert rates[11] == 0.5
        assert rates[12] == 0.25
    else:
        expected = 0.25 * (1 + np.cos(np.pi * np.arange(STEPS - 7) / (STEPS - 8)))
        np.testing.assert_allclose(rates[8:], expected, atol=ROUNDING)


def test_another_first_rate_scales_the_last_along():
    doubled = _rates(first=1.0, schedule="linear", final_learning_rate=0.1)
    np.testing.assert_allclose(
        doubled, 2 * _rates(schedule="linear", final_learning_rate=0.1), atol=ROUNDING
    )


def test_a_warm_up_serialises():
    schedule = WarmUp(keras.optimizers.schedules.CosineDecay(0.5, 10), 4)
    config = keras.optimizers.schedules.serialize(schedule)
    again = keras.optimizers.schedules.deserialize(config)
    assert [float(again(t)) for t in (0, 3, 4, 9)] == [float(schedule(t)) for t in (0, 3, 4, 9)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "steps"}, "needs boundaries and as many factors"),
        ({"schedule": "steps", "boundaries": (3, 8), "factors": (0.5,)}, "as many factors"),
        ({"boundaries": (3,), "factors": (0.5,)}, "the others neither"),
        ({"schedule": "steps", "boundaries": (8, 3), "factors": (1.0, 2.0)}, "epochs that rise"),
        ({"schedule": "steps", "boundaries": (0,), "factors": (0.5,)}, "epochs that rise"),
        ({"schedule": "steps", "boundaries": (1,), "factors": (0.0,)}, "factors must be above 0"),
        ({"final_learning_rate": 0.0}, "must be above 0 with schedule exponential"),
        ({"schedule": "sine"}, "schedule is one of exponential"),
        ({"glorot_scaling": True, "weight_decay": 0.1}, "goes with neither"),
        ({"label_smoothing": 0.1}, "goes with loss cross_entropy"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        Recipe("float_mlp", "mnist_5k", **fields)


def test_boundaries_are_set_as_lists_with_commas():
    settings = {"schedule": "linear", "final_learning_rate": "0"}
    assert resolve_recipe("float_mlp_mnist_5k", settings).final_learning_rate == 0
    with pytest.raises(UsageError, match="boundaries must be of type int, separated by commas"):
        resolve_recipe("float_mlp_mnist_5k", {"boundaries": "3,x"})
