"""Distillation, and chains of stages that end the same whether they are interrupted or not."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError, UsageError
from onebit.keras import keras, lq, tf
from tests.zoo.test_debian_sections import index
from zoo.layers.elastic_quantizer import Elastic
from zoo.layers.transformer_layers import HIDDEN_STATE
from zoo.recipes import recipes
from zoo.runs.run import CARD, CONFIG, TEACHER
from zoo.training import epochs
from zoo.training.distillation import (
    Distiller,
    gap_aware_loss,
    hidden_loss,
    soft_cross_entropy,
    start_from,
)

# A chain of two; the whole one has a third, which does the same.
CHAIN = "binary_bert_tiny_2_bit_debian_sections"
TINY = {"layers": 1, "units": 32, "vocabulary": 50, "input_shape": (8,), "classes": 3}


def bert(name, **options):
    keras.utils.set_random_seed(7)
    return zoo.build(name, **{**TINY, **options})


def tokens(count=6):
    return np.random.default_rng(8).integers(1, 50, size=(count, 8)).astype(np.int32)


def test_soft_cross_entropy_is_its_closed_form():
    target, logits = np.random.default_rng(9).normal(size=(2, 5, 4), scale=3).astype(np.float32)
    p = np.exp(target) / np.exp(target).sum(1, keepdims=True)
    log_q = logits - np.log(np.exp(logits.astype(float)).sum(1, keepdims=True))
    # 20 terms of at most 20.
    np.testing.assert_allclose(
        soft_cross_entropy(target, logits), -(p * log_q).sum(1).mean(), atol=400 * 2.0**-24
    )


def test_hidden_loss_adds_mean_squares_and_is_zero_without_states():
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    assert hidden_loss([a, b], [b, b]).numpy() == np.float32(((a - b) ** 2).mean())
    assert hidden_loss([], []).numpy() == 0


def test_logits_weigh_their_mean_over_classes_beside_the_hidden_states():
    classes = 5
    given = keras.Input((2, classes))

    def network(plane):
        state = keras.layers.Activation("linear", name=HIDDEN_STATE)(given[:, plane])
        return keras.Model(given, keras.layers.Activation("linear")(state))

    distiller = Distiller(network(0), network(1), logits_weight=1 / classes)
    distiller.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(12).normal(size=(7, 2, classes), scale=3).astype(np.float32)
    loss, figures = distiller.measure((tf.constant(x), tf.zeros([7], tf.int64)), training=False)
    z, t = np.moveaxis(x.astype(float), 1, 0)
    p = np.exp(t) / np.exp(t).sum(1, keepdims=True)
    terms = -p * (z - np.log(np.exp(z).sum(1, keepdims=True)))
    # BiT's program: soft cross-entropies as the mean over samples and classes alike.
    # Sums of 35 terms of at most 200.
    np.testing.assert_allclose(loss, terms.mean() + ((z - t) ** 2).mean(), rtol=35 * 2.0**-23)
    np.testing.assert_allclose(figures["logits_loss"], terms.sum(1).mean(), rtol=35 * 2.0**-23)


def test_the_further_teacher_weighs_more_and_no_gradient_goes_to_the_weights():
    *targets, logits = np.random.default_rng(10).normal(size=(3, 6, 4), scale=3).astype(np.float32)
    student = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = gap_aware_loss(targets, student)
    q = np.exp(logits.astype(float))
    q /= q.sum(1, keepdims=True)
    p = np.exp(np.array(targets, float))
    p /= p.sum(2, keepdims=True)
    gaps = -(p * np.log(q)).sum(2)  # [teachers, samples]
    weights = (np.exp(gaps) / np.exp(gaps).sum(0)).mean(1)
    assert (weights[0] > weights[1]) == (gaps[0].mean() > gaps[1].mean())
    # Sums of 24 terms of at most 20.
    np.testing.assert_allclose(loss, (weights * gaps.mean(1)).sum() / 2, atol=600 * 2.0**-24)
    expected = sum(w * (q - t) for w, t in zip(weights, p, strict=True)) / (2 * 6)
    np.testing.assert_allclose(tape.gradient(loss, student), expected, atol=24 * 2.0**-24)


def test_assistants_take_turns_beside_the_teacher():
    def logits(*values):
        image = keras.Input((3,))
        layer = keras.layers.Dense(2, kernel_initializer="zeros")
        model = keras.Model(image, layer(image))
        layer.bias.assign(values)
        return model

    student, teacher, *assistants = (logits(*v) for v in ((0, 0), (1, 0), (0, 3), (0, 9)))
    distiller = Distiller(student, teacher, assistants=assistants)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.0), loss)
    assert len(distiller.trainable_weights) == len(student.trainable_weights)
    x, labels = np.zeros((4, 3), np.float32), np.zeros(4, np.int64)
    for place, assistant in enumerate(assistants):
        distiller.learn_from(place)
        found = distiller.fit(x, labels, verbose=0).history["logits_loss"][-1]
        expected = gap_aware_loss([assistant(x), teacher(x)], student(x))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("label_weight", [0.0, 0.25, 1.0])
def test_regularisation_losses_count_whole_whatever_labels_weigh(label_weight):
    def network(regularizer=None):
        image = keras.Input((3,))
        layer = keras.layers.Dense(2, kernel_regularizer=regularizer, bias_regularizer=regularizer)
        return keras.Model(image, layer(image))

    keras.utils.set_random_seed(7)
    student, teacher = network(keras.regularizers.L2(0.5)), network()
    distiller = Distiller(student, teacher, label_weight=label_weight)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.0), loss)
    x, labels = tf.eye(3), tf.constant([0, 1, 1])
    found, figures = distiller.measure((x, labels), training=True)
    regularisation = 0.5 * np.sum(np.square(student.get_weights()[0]))
    on_labels, on_teacher = loss(labels, student(x)), soft_cross_entropy(teacher(x), student(x))
    # Four roundings of sums below 8.
    tolerance = 8 * 4 * 2.0**-24
    np.testing.assert_allclose(figures["loss"], on_labels + regularisation, atol=tolerance)
    expected = label_weight * on_labels + on_teacher + regularisation
    np.testing.assert_allclose(found, expected, atol=tolerance)
    if label_weight == 1.0:
        assert found == distiller.compute_loss(x, labels, student(x)) + on_teacher


def test_assistants_have_equal_shares_of_the_epochs_and_go_with_a_teacher():
    recipe = zoo.resolve_recipe("bnext_m_imagenet", {"dataset": "cifar10"}, seed=4)
    assert [a.model for a in recipe.assistants] == [
        "float_efficientnet_b0",
        "float_efficientnet_b2",
    ]
    assert {(a.dataset, a.seed) for a in recipe.assistants} == {("cifar10", 4)}
    assert [recipe.assistant(epoch) for epoch in (1, 256, 257, 512)] == [0, 0, 1, 1]
    with pytest.raises(UsageError, match="assistants go with a teacher"):
        dataclasses.replace(recipe, teacher=None)


def test_a_student_starts_from_its_teachers_weights_but_not_its_scales():
    teacher, student = bert("binary_bert_tiny", activation_bits=2), bert("binary_bert_tiny")
    teacher(tokens(), training=True)
    quantizer = teacher.get_layer("layer_1_query").input_quantizer
    quantizer.threshold.assign(np.arange(32) / 8)
    with lq.context.quantized_scope(False):
        teacher.get_layer("pooler").kernel.assign_add(tf.ones((32, 32)))
    start_from(student, teacher)
    for layer in ("layer_1_query", "pooler", "logits", "token_embedding", "add_positions"):
        with lq.context.quantized_scope(False):
            theirs, mine = (m.get_layer(layer).get_weights()[0] for m in (teacher, student))
        np.testing.assert_array_equal(theirs, mine)
    again = student.get_layer("layer_1_query").input_quantizer
    np.testing.assert_array_equal(again.threshold, quantizer.threshold)
    assert quantizer.scale.numpy() != 1
    assert (again.scale.numpy(), again.calibrated.numpy()) == (1, 0)
    start_from(student, teacher, keep_scales=True)
    assert (again.scale.numpy(), again.calibrated.numpy()) == (quantizer.scale.numpy(), 1)


def networks_of(dataset):
    """The models of a data set's recipes, each once, and one recipe for each."""
    found = (zoo.resolve_recipe(name) for name in recipes.names())
    return {recipe.model: recipe for recipe in found if recipe.dataset == dataset}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, id=model, marks=() if model == "bhvit_micro" else pytest.mark.slow)
        for model, recipe in networks_of("mnist_5k").items()
    ],
)
def test_a_network_takes_over_every_weight_of_its_like_but_elastic_scales(recipe):
    def built():
        keras.backend.reset_uids()
        return zoo.build(recipe.model, **recipe.smoke().options)

    teacher, student = built(), built()
    quantizers = [part for part in teacher.submodules if isinstance(part, Elastic)]
    elastic = sorted(weight.name for q in quantizers for weight in (q.scale, q.calibrated))
    generator = np.random.default_rng(11)
    with lq.context.quantized_scope(False):
        for weight in teacher.weights:
            weight.assign(generator.uniform(0.25, 0.75, weight.shape))
        start_from(student, teacher)
        pairs = list(zip(teacher.weights, student.weights, strict=True))
        assert sorted(t.name for t, mine in pairs if not np.array_equal(t, mine)) == elastic
        start_from(student, teacher, keep_scales=True)
        assert all(np.array_equal(theirs, mine) for theirs, mine in pairs)


def test_a_float_teacher_and_a_loaded_one_hand_on_the_same_weights(tmp_path):
    teacher = bert("bert_tiny")
    teacher.save(tmp_path / "teacher.keras")
    loaded = keras.models.load_model(tmp_path / "teacher.keras")
    students = [bert("binary_bert_tiny"), bert("binary_bert_tiny")]
    students[1].get_layer("logits").bias.assign([1, 2, 3])
    for student, source in zip(students, (teacher, loaded), strict=True):
        start_from(student, source)
    for mine, other in zip(students[0].get_weights(), students[1].get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    with lq.context.quantized_scope(False):
        np.testing.assert_array_equal(
            students[0].get_layer("layer_1_key").get_weights()[0],
            teacher.get_layer("layer_1_key").get_weights()[0],
        )


def test_a_teacher_of_another_shape_is_refused():
    with pytest.raises(UsageError, match=r"in the teacher, .* in the student: give both the same"):
        start_from(bert("binary_bert_tiny"), bert("bert_tiny", units=64))
    with pytest.raises(UsageError, match="has a layer layer_2_query, the student none"):
        start_from(bert("binary_bert_tiny"), bert("bert_tiny", layers=2))


@pytest.mark.slow
def test_a_step_lowers_the_distance_to_the_teacher_and_leaves_it_alone():
    # Float on both sides: signs that flip may lead a binary student astray for some steps.
    student, teacher = bert("bert_tiny"), bert("bert_tiny")
    for weight in teacher.trainable_weights:
        weight.assign(1.5 * weight + 0.01)
    before = [w.copy() for w in teacher.get_weights()]
    distiller = Distiller(student, teacher)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    assert {w.ref() for w in distiller.trainable_weights} == {
        w.ref() for w in student.trainable_weights
    }
    x = tokens(32)
    labels = np.zeros(32, np.int64)
    history = distiller.fit(x, labels, epochs=8, validation_data=(x, labels), verbose=0).history
    assert {"loss", "accuracy", "logits_loss", "hidden_loss", "val_hidden_loss"} <= set(history)
    losses = np.add(history["hidden_loss"], history["logits_loss"])
    assert losses[-1] < losses[0]
    answers, expected = student(x), teacher(x)
    cross_entropy = soft_cross_entropy(expected, answers)
    # The validation's figure is of the same weights, averaged over one batch.
    np.testing.assert_allclose(history["val_logits_loss"][-1], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"][-1], loss(labels, answers), rtol=1e-5)
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "debian_sections").mkdir()
    (folder / "debian_sections" / "Packages").write_bytes(index(20))
    return folder


def chain(**settings):
    return zoo.resolve_recipe(CHAIN, settings, smoke=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data):
    return zoo.train(chain(), tmp_path_factory.mktemp("runs") / "whole", data=data)


def stages(folder):
    return [folder, folder / TEACHER]


@pytest.mark.slow
def test_a_chain_leaves_a_run_folder_and_an_accuracy_for_each_stage(uninterrupted):
    runs = [zoo.load_run(folder) for folder in stages(uninterrupted.folder)]
    assert [run.card["recipe"] for run in runs] == [
        CHAIN,
        "bert_tiny_debian_sections",
    ]
    assert not (runs[-1].folder / TEACHER).exists()
    for run in runs:
        result = zoo.evaluate(run)
        assert result.accuracy == result.card_accuracy
        assert ("hidden_loss" in run.history[-1]) == (run is not runs[-1])


@pytest.mark.slow
def test_a_run_on_texts_encodes_texts(uninterrupted, finished_run):
    assert uninterrupted.preprocessing is None
    assert uninterrupted.samples.images.dtype == np.int32
    ids = uninterrupted.encode(["fast small parser of kind3 number 17"])
    assert ids.shape == (1, 32)
    assert uninterrupted.model(ids).shape == (1, 12)
    with pytest.raises(OnebitError, match="a model of images, which takes no texts"):
        zoo.load_run(finished_run).encode(["text"])


@pytest.mark.slow
def test_an_exported_run_on_texts_encodes_texts(uninterrupted, tmp_path):
    zoo.export(uninterrupted, tmp_path / "bert.npz")
    loaded = zoo.load_trained(uninterrupted.card["name"], str(tmp_path / "bert.npz"))
    texts = ["fast small parser of kind3 number 17"]
    ids = loaded.encode(texts)
    np.testing.assert_array_equal(ids, uninterrupted.encode(texts))
    np.testing.assert_array_equal(loaded.samples.images, uninterrupted.samples.images[:100])
    np.testing.assert_array_equal(loaded.model(ids), uninterrupted.model(ids))


class Crash(BaseException):
    """Stands for the process' end."""


@pytest.mark.parametrize(
    "epoch",
    [
        pytest.param(2, id="teacher", marks=pytest.mark.slow),
        pytest.param(4, id="student", marks=pytest.mark.slow),
    ],
)
def test_a_chain_that_is_killed_resumes_to_the_same_end(
    epoch, uninterrupted, data, tmp_path, monkeypatch
):
    folder, calls = tmp_path / "killed", iter(range(1, 100))
    original = epochs.write_history

    def crashing(*args):
        if next(calls) == epoch:  # two epochs each: 1 and 2 are the teacher's
            raise Crash
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_history", crashing)
        with pytest.raises(Crash):
            zoo.train(chain(), folder, data=data)
    assert not (folder / CARD).exists()
    resumed = zoo.train(chain(), folder, data=data)
    for mine, theirs in zip(stages(resumed.folder), stages(uninterrupted.folder), strict=True):
        assert zoo.load_run(mine).history == zoo.load_run(theirs).history
    for mine, theirs in zip(
        resumed.model.get_weights(), uninterrupted.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_another_teacher_is_another_training_and_restart_replaces_both(
    uninterrupted, data, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted.folder, folder)
    other = chain(**{"teacher.epochs": "1", "epochs": "1"})
    assert other.teacher.epochs == 1
    with pytest.raises(UsageError, match="holds a run with epochs 2, not 1"):
        zoo.train(other, folder, data=data)
    zoo.train(other, folder, data=data, restart=True)
    assert len(zoo.load_run(stages(folder)[1]).history) == 1
    assert json.loads((folder / CONFIG).read_text())["recipe"]["teacher"]["epochs"] == 1


def test_settings_seed_and_smoke_reach_the_teachers():
    recipe = zoo.resolve_recipe(
        "binary_bert_tiny_debian_sections", {"teacher.learning_rate": "0.5"}, seed=4
    )
    assert recipe.teacher.learning_rate == 0.5
    assert recipe.learning_rate != 0.5
    assert (recipe.seed, recipe.teacher.seed, recipe.teacher.teacher.seed) == (4, 4, 4)
    assert chain().teacher.samples == chain().samples
    with pytest.raises(UsageError, match="no setting 'epoch'"):
        zoo.resolve_recipe(CHAIN, {"teacher.epoch": "1"})
    with pytest.raises(UsageError, match=r"no setting 'teacher\.epochs'"):
        zoo.resolve_recipe("bert_tiny_debian_sections", {"teacher.epochs": "1"})
