import dataclasses

import pytest

import zoo
from onebit.errors import UsageError
from zoo.datasets import datasets
from zoo.models import models
from zoo.recipes import (
    CONDITIONS,
    SETTABLE,
    Recipe,
    describe_recipe,
    recipes,
    resolve_recipe,
    setting,
)

NAMES = recipes.names()
MODELS = models.names()


@pytest.mark.parametrize("name", NAMES)
def test_recipe_names_a_model_a_data_set_and_options_that_exist(name):
    recipe = resolve_recipe(name)
    assert recipe.name == name
    assert recipe.model in models.names()
    assert recipe.dataset in datasets.names()
    assert {*recipe.options, *recipe.smoke_options} <= set(models.get(recipe.model).options)
    assert name.endswith(recipe.dataset)


@pytest.mark.parametrize("name", NAMES)
def test_recipe_says_command_duration_and_accuracy(name):
    text = describe_recipe(name)
    assert f"onebit zoo train {name} " in text
    assert "Duration: " in text
    assert "Accuracy: " in text


@pytest.mark.parametrize("name", models.names())
def test_model_options_and_recipe_settings_do_not_collide(name):
    assert not set(models.get(name).options) & {field.name for field in dataclasses.fields(Recipe)}


def test_every_model_has_a_recipe_but_those_that_the_readme_names():
    trained = set()
    left = [resolve_recipe(name) for name in NAMES]
    while left:
        recipe = left.pop()
        trained.add(recipe.model)
        left += [stage for stage in (recipe.teacher, recipe.start) if stage]
    without = {"binary_mobilenet", "binary_autoencoder", "binary_bert_base"}
    without |= {models.get(name).float_baseline for name in without}
    larq = {name for name in MODELS if name.startswith("larq_")}
    assert set(MODELS) - trained == without | larq


def test_every_family_has_a_recipe_on_the_offline_data_set():
    trained = {resolve_recipe(name).model for name in NAMES if name.endswith("_mnist_5k")}
    images = [model for model in map(models.get, models.names()) if not model.takes_text]
    shapes = {model.name: model.options["input_shape"] for model in images}
    small = {name for name, shape in shapes.items() if len(shape) == 3 and shape[0] <= 32}
    sounds = {resolve_recipe(name).model for name in NAMES if "_spoken_keywords_" in name}
    assert trained == small - sounds
    assert sounds == {"bifsmn", "dfsmn", "binary_ds_cnn", "float_ds_cnn"}


def test_settings_are_converted_to_the_type_of_the_field_or_the_option():
    recipe = resolve_recipe(
        "binary_connect_mlp_mnist_5k",
        {
            "epochs": "3",
            "learning_rate": "5e-4",
            "samples": "none",
            "stochastic": "true",
            "units": "64",
            "dropout": "0.5",
        },
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.samples) == (3, 5e-4, None)
    assert recipe.options == {"stochastic": True, "units": 64, "dropout": 0.5}


def test_data_set_loss_and_quantizers_are_settings():
    settings = {
        "dataset": "digits_8x8",
        "loss": "cross_entropy",
        "lr": "0.5",
        "input_quantizer": "approx_sign",
    }
    recipe = resolve_recipe("binary_net_mlp_mnist_5k", settings)
    assert (recipe.dataset, recipe.loss, recipe.learning_rate) == (
        "digits_8x8",
        "cross_entropy",
        0.5,
    )
    model = zoo.build(recipe.model, **recipe.options)
    assert type(model.get_layer("hidden_2").input_quantizer).__name__ == "ApproxSign"
    assert type(model.get_layer("hidden_2").kernel_quantizer).__name__ == "SteSign"


def test_teachers_train_on_the_same_data_set_unless_a_setting_says_otherwise():
    name = "reactnet_a_imagenet"
    recipe = resolve_recipe(name, {"dataset": "mnist", "start.dataset": "cifar10"})
    assert recipe.dataset == recipe.teacher.dataset == "mnist"
    assert recipe.start.dataset == recipe.start.teacher.dataset == "cifar10"


def test_what_training_multiplies_in_is_that_of_earlier_trainings_too():
    settings = {"compute": "bfloat16"}
    student = resolve_recipe("binary_net_cnn_distilled_fashion_mnist", settings, seed=2)
    # So the float baseline of the same seed is its teacher, and need not be trained again.
    assert student.teacher == resolve_recipe("float_cnn_paper_fashion_mnist", settings, seed=2)
    own = resolve_recipe(student.name, {**settings, "teacher.compute": "float32"})
    assert (own.compute, own.teacher.compute) == ("bfloat16", "float32")


def test_setting_gives_type_and_value():
    recipe = resolve_recipe("reactnet_a_imagenet")
    assert setting(recipe, "lr") == (float, recipe.learning_rate)
    assert setting(recipe, "start.teacher.epochs") == (int, recipe.start.teacher.epochs)


def test_an_unknown_quantizer_raises():
    for name in ("sign", "ste_tern"):  # no such one; one of two bits
        with pytest.raises(UsageError, match=f"no binary quantizer '{name}'; .*ste_sign"):
            resolve_recipe("tfc_w1a1_mnist_5k", {"kernel_quantizer": name})


def test_a_setting_leaves_the_registered_recipe_alone():
    resolve_recipe("float_mlp_mnist_5k", {"units": "3"})
    assert "units" not in resolve_recipe("float_mlp_mnist_5k").options


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epoch", "3", "no setting 'epoch'; did you mean epochs"),
        ("colour", "red", "no setting 'colour'; known: .*epochs.*samples"),
        ("input_shape", "3", "no setting 'input_shape'"),
        ("model", "float_mlp", "no setting 'model'"),
        ("epochs", "many", "epochs must be of type int, not 'many'"),
        ("epochs", "1.5", "epochs must be of type int"),
        ("epochs", "0", "epochs must be above 0 without the option weights"),
        ("epochs", "-1", "epochs must be at least 0, not -1"),
        ("epochs", str(10**20), "epochs must be at least 0 and below 2147483648, not 1000"),
        ("batch_size", str(10**20), "batch_size must be above 0 and below 2147483648"),
        ("learning_rate", "nan", "learning_rate must be above 0"),
        ("learning_rate", "inf", "learning_rate must be above 0"),
        ("optimizer", "adm", "optimizer is one of adam, adamw, radam, sgd, bop, not 'adm'"),
        ("momentum", "1", r"momentum must be at least 0 and below 1"),
        ("compute", "float16", "compute is one of float32, bfloat16"),
        ("seed", "-1", "seed must be at least 0"),
        ("seed", str(2**32), "seed must be at least 0 and below 4294967296, not 4294967296"),
        ("stochastic", "1", "stochastic must be true or false, not '1'"),
        ("dataset", "mnist_5", "there is no data set 'mnist_5'; did you mean mnist_5k"),
        ("dataset", "debian_sections", "debian_sections holds texts, mnist_5k images"),
        ("loss", "hinge", "loss is one of squared_hinge, cross_entropy"),
        ("kernel_quantizer", "ste_sign", "no setting 'kernel_quantizer'"),
        ("momentum", "0.9", "momentum goes with optimizer sgd or real_learning_rate"),
        ("bop_gamma", "1e-3", "bop_gamma goes with optimizer bop"),
        ("decayed", "others", "decayed goes with weight_decay"),
        ("logits_weight", "0.5", "logits_weight goes with a teacher"),
        ("keep_scales", "true", "keep_scales goes with a training to start from"),
    ],
)
def test_a_wrong_setting_raises(key, value, message):
    with pytest.raises(UsageError, match=message):
        resolve_recipe("binary_connect_mlp_mnist_5k", {key: value})


def test_an_unknown_recipe_raises_with_near_matches():
    with pytest.raises(UsageError, match="no recipe 'float_mpl_mnist_5k'; did you mean float_mlp"):
        resolve_recipe("float_mpl_mnist_5k")


def test_seed_and_smoke_replace_the_recipes_own():
    recipe = resolve_recipe("binary_net_cnn_mnist_5k", {"epochs": "7"}, seed=9, smoke=True)
    assert (recipe.seed, recipe.epochs, recipe.options["width"]) == (9, 7, 4)
    assert recipe.samples is not None
    assert recipe.samples < 1000


def test_every_settable_field_exists():
    assert set(SETTABLE) <= {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("binary_connect_mlp_mnist_5k", {"optimizer": "sgd", "momentum": "0.9"}),
        ("binary_connect_mlp_mnist_5k", {"weight_decay": "0.1", "glorot_scaling": "false"}),
        # What is as it was changes nothing, with or without what it goes with.
        ("binary_connect_mlp_mnist_5k", {"momentum": "0"}),
        ("reactnet_a_imagenet", {"optimizer": "sgd", "momentum": "0.9"}),
        ("binary_bert_tiny_debian_sections", {"teacher.keep_scales": "true"}),
        # Parameters of type X | None with the default None.
        ("binary_net_mlp_mnist_5k", {"initial_range": "0.5"}),
        ("binary_connect_cnn_cifar10", {"units": "64"}),
        ("float_efficientnet_b0_imagenet", {"epochs": "1", "weights": "none"}),
    ],
)
def test_settings_that_go_together_are_taken(recipe, settings):
    changed = resolve_recipe(recipe, settings)
    found = {key: str(setting(changed, key)[1]).lower() for key in settings}
    assert found == {key: "0.0" if value == "0" else value for key, value in settings.items()}


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("reactnet_a_imagenet", {"optimizer": "sgd", "adam_epsilon": "0.1"}, "other than sgd"),
        ("bwn_resnet18_imagenet", {"final_learning_rate": "0.1"}, "other than steps"),
        ("bifsmn_spoken_keywords_synthetic_log_mel", {"logits_weight": "0.5"}, "frequency_weight"),
        ("reactnet_a_imagenet", {"label_smoothing": "0.1"}, "a loss on labels"),
        (
            "float_mlp_mnist_5k",
            {"optimizer": "bop", "real_learning_rate": "0.1"},
            "other than bop",
        ),
        ("binary_bert_tiny_debian_sections", {"start.momentum": "0.9"}, "no setting"),
        ("binary_bert_tiny_debian_sections", {"teacher.momentum": "0.9"}, "optimizer sgd"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(recipe, settings, message):
    with pytest.raises(UsageError, match=message):
        resolve_recipe(recipe, settings)


def test_every_condition_is_of_a_settable_field():
    assert set(CONDITIONS) <= set(SETTABLE)
