"""BiFSMN: its size, its depths and what it learns from its teacher."""

import numpy as np
import pytest

import convert
import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras, tf
from zoo.layers.quantizers import centred_ste_sign
from zoo.layers.thinnable import path_outputs, thin
from zoo.recipes import Recipe
from zoo.summary import layer_records, totals
from zoo.training.distillation import make_trainer, start_from
from zoo.training.high_frequency import (
    HighFrequencyDistiller,
    energy_distance,
    enhanced,
    high_frequencies,
)

TINY = {"width": 8, "filters": 4, "blocks": 4, "input_shape": (16, 8, 1), "classes": 3}


def built(name="bifsmn", **options):
    keras.utils.set_random_seed(5)
    return zoo.build(name, **{**TINY, **options})


def spectrograms(count=6):
    return np.random.default_rng(6).normal(size=(count, 16, 8, 1)).astype(np.float32)


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def program_parameters(blocks, prelus_of_the_front=3, prelus_of_a_block=3):
    """Of the authors' networks, counted layer by layer, one path deep."""
    memory, hidden, filters, classes, frames = 128, 256, 16, 12, 8
    front = (25 * filters + filters) + 2 * filters
    front += (25 * filters * 2 * filters + 2 * filters) + 2 * 2 * filters
    front += 2 * filters * 8 * memory + memory
    block = (memory * 5 + memory) + 2 * memory
    block += (memory * hidden + hidden) + 2 * hidden + (hidden * memory + memory) + 2 * memory
    last = memory * frames * classes + classes
    return front + prelus_of_the_front + blocks * (block + prelus_of_a_block) + last


def biases_before_batch_norm(blocks):
    return 16 + 32 + blocks * (128 + 256 + 128)


@pytest.mark.slow
def test_networks_have_the_programs_parameters_but_for_biases_before_batch_norm():
    program = program_parameters(8)
    assert program == 600_263
    assert trainable(zoo.build("bifsmn")) == program - biases_before_batch_norm(8)
    half = program_parameters(4) - biases_before_batch_norm(4)
    assert trainable(zoo.build("bifsmn", thinned=2)) == half
    teacher = program_parameters(8, 0, 2) - biases_before_batch_norm(8)
    assert trainable(zoo.build("dfsmn")) == teacher


@pytest.mark.slow
def test_all_but_the_first_and_the_last_layer_is_binary():
    records = layer_records(zoo.build("bifsmn"))
    kernels = {r["layer"]: (r["weight_bits"], r["input_bits"]) for r in records if r["weight_bits"]}
    assert len(kernels) == 28
    assert {name for name, bits in kernels.items() if bits != (1, 1)} == {"stem", "logits"}
    # The second convolution, the frames' layer, and eight times a memory and two 1×1 layers.
    binary = 25 * 16 * 32 + 256 * 128 + 8 * (5 * 128 + 2 * 128 * 256)
    summed = totals(records)
    assert summed["bits"] == binary + 32 * (summed["parameters"] - binary)
    per_frame = 256 * 128 + 8 * (5 * 128 + 2 * 128 * 256)
    assert summed["binary_macs"] == 64 * 25 * 16 * 32 + 8 * per_frame


def test_centred_signs_are_about_the_mean_and_their_gradient_has_none():
    w = tf.constant([[0.5, -0.25], [1.9, 0.125]])
    with tf.GradientTape() as tape:
        tape.watch(w)
        q = centred_ste_sign(w)
        loss = tf.reduce_sum(q * [[1.0, 2.0], [4.0, 8.0]])
    centred = w.numpy() - w.numpy().mean()
    np.testing.assert_array_equal(q, np.where(centred < 0, -1, 1))
    passed = np.array([[1.0, 2.0], [4.0, 8.0]]) * (np.abs(centred) <= 1)
    np.testing.assert_allclose(tape.gradient(loss, w), passed - passed.mean(), rtol=1e-6)


@pytest.mark.slow
def test_a_path_is_the_thinned_network_with_the_same_weights():
    whole = built(thinnable=True)
    inputs = spectrograms()
    whole(inputs, training=True)  # moves each path's averages off their start
    answers = keras.Model(whole.inputs, path_outputs(whole))(inputs)
    np.testing.assert_array_equal(whole(inputs), answers[0])
    for path, thinned in enumerate((1, 2, 4)):
        network, fresh = thin(whole, path), built(thinned=thinned)
        assert [w.shape for w in network.weights] == [w.shape for w in fresh.weights]
        assert {layer.name for layer in network.layers} == {layer.name for layer in fresh.layers}
        np.testing.assert_allclose(network(inputs), answers[path], atol=1e-5)
        # A copy: training it leaves the others alone.
        network.set_weights(fresh.get_weights())
        np.testing.assert_array_equal(whole(inputs), answers[0])
    shared = {w.ref() for w in thin(whole, 0).weights} & {w.ref() for w in whole.weights}
    assert not shared


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 6, "thinnable": True}, "blocks=6 cannot be thinned by 4"),
        ({"thinned": 3}, "cannot be thinned by 3: thin by 1, 2 or 4"),
        ({"thinned": 2, "thinnable": True}, "leave thinned at 1"),
    ],
)
def test_depths_that_do_not_exist_are_refused(options, message):
    with pytest.raises(OnebitError, match=message):
        built(**options)


def haar_without_low_pass(values):
    """The transform, its low-pass part set to zero, and back, of `[H, W]` with even H and W."""
    step = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    found = np.zeros_like(values)
    for row in range(0, values.shape[0], 2):
        for column in range(0, values.shape[1], 2):
            block = step @ values[row : row + 2, column : column + 2] @ step.T
            block[0, 0] = 0
            found[row : row + 2, column : column + 2] = step.T @ block @ step
    return found


@pytest.mark.parametrize(("frames", "channels"), [(4, 6), (5, 6), (3, 7)])
def test_high_frequencies_are_those_of_haars_wavelet_transform(frames, channels):
    values = np.random.default_rng(7).normal(size=(2, frames, 1, channels)).astype(np.float32)
    found = high_frequencies(tf.constant(values)).numpy()
    assert found.shape == values.shape
    padded = np.pad(values, ((0, 0), (0, frames % 2), (0, 0), (0, channels % 2)))
    for sample, whole in zip(found, padded, strict=True):
        expected = haar_without_low_pass(whole[:, 0])[:frames, :channels]
        np.testing.assert_allclose(sample[:, 0], expected, atol=1e-6)


def test_the_hidden_loss_compares_energies_with_the_enhanced_teacher():
    state, target = np.random.default_rng(8).normal(size=(2, 3, 4, 1, 6)).astype(np.float32)
    high = high_frequencies(tf.constant(target)).numpy()
    better = high / high.std() + target / target.std()
    np.testing.assert_allclose(enhanced(tf.constant(target)), better, rtol=1e-4, atol=1e-5)
    mine, theirs = state**2, better**2
    expected = np.linalg.norm(mine / np.linalg.norm(mine) - theirs / np.linalg.norm(theirs))
    np.testing.assert_allclose(energy_distance(state, better), expected, rtol=1e-5)
    assert energy_distance(3 * state, state).numpy() < 1e-6  # sizes do not matter


@pytest.mark.slow
def test_a_step_sums_labels_and_hidden_states_over_the_depths():
    teacher, student = built("dfsmn", dropout=0.0), built(thinnable=True)
    start_from(student, teacher)
    distiller = HighFrequencyDistiller(student, teacher, 0.5)
    on_labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.0), on_labels, metrics=["accuracy"])
    assert {w.ref() for w in distiller.trainable_variables} == {
        w.ref() for w in student.trainable_variables
    }
    inputs, labels = tf.constant(spectrograms()), tf.constant([0, 1, 2, 0, 1, 2])
    logits = keras.Model(student.inputs, path_outputs(student))(inputs)

    def states(model, numbers, ending=""):
        names = [f"block_{number}{ending}_hidden_state" for number in numbers]
        return keras.Model(model.inputs, [model.get_layer(name).output for name in names])(inputs)

    expected, hidden = 0.0, []
    for path, thinned in enumerate((1, 2, 4)):
        numbers = range(thinned, 5, thinned)
        mine = states(student, numbers, f"_thinned_{thinned}" if path else "")
        pairs = zip(tf.nest.flatten(mine), tf.nest.flatten(states(teacher, numbers)), strict=True)
        hidden.append(sum(energy_distance(m, enhanced(t)).numpy() for m, t in pairs))
        expected += (on_labels(labels, logits[path]).numpy() + 0.5 * hidden[path]) / 2**path
    loss, figures = distiller.measure((inputs, labels), training=False)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(figures["hidden_loss"], hidden[0], rtol=1e-5)
    np.testing.assert_allclose(figures["loss"], on_labels(labels, logits[0]), rtol=1e-5)


@pytest.mark.slow
def test_every_depth_learns_and_the_teacher_stays():
    teacher, student = built("dfsmn"), built(thinnable=True)
    before = teacher.get_weights()
    recipe = Recipe(model="bifsmn", dataset="x", frequency_weight=0.01)
    distiller = make_trainer(student, teacher, recipe)
    on_labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(1e-2), on_labels)
    old = {weight.name: weight.numpy() for weight in student.trainable_weights}
    inputs, labels = spectrograms(), np.array([0, 1, 2, 0, 1, 2])
    history = distiller.fit(inputs, labels, validation_data=(inputs, labels), verbose=0).history
    assert {"loss", "hidden_loss", "val_loss", "val_hidden_loss"} <= set(history)
    for weight in student.trainable_weights:
        assert not np.array_equal(weight, old[weight.name]), weight.name
    for mine, theirs in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_thinnable_network_needs_this_teacher():
    recipe = Recipe(model="bifsmn", dataset="x", name="mine")
    for teacher in (None, built("dfsmn")):
        with pytest.raises(UsageError, match="mine: a thinnable network learns from a teacher"):
            make_trainer(built(thinnable=True), teacher, recipe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 2}, "has a layer block_3_hidden_state, the teacher no block_3_hidden_state"),
        ({"width": 4}, r"has the shape \[None, 4, 1, 4\] in the teacher, .*give both the same"),
    ],
)
def test_hidden_states_without_a_counterpart_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        HighFrequencyDistiller(built(), built("dfsmn", **options), 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"thinned": 4}, {"thinnable": True}], ids=str)
def test_every_depth_converts_with_its_binary_layers(options):
    # LCE's faster kernels compute zero padding wrongly where 5×5 weights see fewer than 5 places.
    model = built(width=32, input_shape=(16, 16, 1), **options)
    inputs = np.random.default_rng(6).normal(size=(32, 16, 16, 1)).astype(np.float32)
    model(inputs, training=True)
    conversion = convert.convert_model(model, samples=convert.Samples([inputs]))
    kinds = [layer.kind for layer in conversion.report.layers]
    blocks = 4 // options.get("thinned", 1)
    assert kinds.count("binary") == 2 + 2 * blocks
    # LCE has no binary depthwise layer; 32 channels are too few for packed weights, 128 are not.
    memories = [layer for layer in conversion.report.layers if layer.name.endswith("_memory")]
    assert len(memories) == blocks
    assert all("too few for packing" in layer.reason for layer in memories)
    assert kinds.count("float") == 2 + blocks
    assert conversion.report.verification.verdict in ("exact", "rounding flips")
