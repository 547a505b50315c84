"""Settings that make a recipe its paper's: as the papers and the authors' programs have them."""

import pytest

from zoo.recipes import recipes, resolve_recipe

# allenai/XNOR-Net, train.lua and opts.lua: the gradients of binary weights times their fan-in with
# SGD; 55 epochs of 2,500 batches of 128 images are 55·320,000 / 1,281,167 = 13.7 passes, and its
# rates of 0.01, 5e-3, 1e-3, 5e-4, 1e-4 end after 4.5, 7.2, 10.7 and 13.0.
BWN = {"optimizer": "sgd", "momentum": 0.9, "fan_in_scaling": True, "schedule": "steps"}
BWN_ALEXNET = BWN | {
    "epochs": 14,
    "batch_size": 128,
    "learning_rate": 0.01,
    "boundaries": (5, 7, 11, 13),
    "factors": (0.5, 0.1, 0.05, 0.01),
}
# arXiv 1603.05279, section 4.2: the rate times 0.01 at epochs 30 and 40 of 58.
BWN_RESNET18 = BWN | {
    "epochs": 58,
    "batch_size": 256,
    "learning_rate": 0.1,
    "boundaries": (30, 40),
    "factors": (0.01, 0.0001),
}

# larq/zoo, larq_zoo/training/basic_experiments.py, for DoReFa-Net, ResNetE18 and the DenseNets;
# PyTorch's for the programs of Bi-Real Net and ReActNet.
DOREFA = {"optimizer": "adam", "adam_epsilon": 1e-5}
SMALL_EPSILON = {"optimizer": "adam", "adam_epsilon": 1e-8}
SMALL_EPSILONS = (
    "bi_real_net18",
    "bi_real_net34",
    "binary_densenet28",
    "binary_densenet37",
    "binary_densenet37_dilated",
    "binary_densenet45",
    "binary_resnet_e18",
    "react_resnet18",
    "react_resnet18_binary_activations",
    "reactnet_a",
    "reactnet_a_binary_activations",
)

# hpi-xnor/BMXNet-v2-wiki, README.md and the commands in its experiment/mnes: 120 epochs, a cosine;
# 2·32 or 4·16 images a step for 22, 29 and 42 layers. β₁ and ε are the defaults of MXNet's `Radam`
# in hpi-xnor/BMXNet-v2, python/mxnet/optimizer/contrib.py, and of MXNet's Adam.
MELIUSNET = {"epochs": 120, "schedule": "cosine", "final_learning_rate": 0.0, "weight_decay": 0.0}
RADAM_MELIUSNET = MELIUSNET | {
    "optimizer": "radam",
    "adam_beta_1": 0.95,
    "adam_epsilon": 1e-5,
    "learning_rate": 2e-3,
    "batch_size": 64,
}
ADAM_MELIUSNET = MELIUSNET | {
    "optimizer": "adam",
    "adam_beta_1": 0.9,
    "adam_epsilon": 1e-8,
    "learning_rate": 3e-3,
    "batch_size": 256,
}

# The svhn.py of BinaryConnect and of BinaryNet: 64 filters at first, 1,024 dense units.
SVHN = {"width": 64, "units": 1024}

# facebookresearch/bit, scripts/run_glue.sh and kd_learner_glue.py: a rate of 1e-4 for scales; the
# logits' loss is the mean over classes, of which the data set has 12.
BIT = {"quantizer_learning_rate": 1e-4, "selection": "best", "schedule": "linear"}
DISTILLED = BIT | {"logits_weight": 1 / 12}

# MatthieuCourbariaux/BinaryNet, Train-time/cifar10.py: Uniform(-1, 1), Glorot's scaling, Adam from
# 1e-3 to 3e-7, the squared hinge, the best epoch. 64 filters and 100 epochs are this zoo's choice,
# which its page states.
CNN = {
    "optimizer": "adam",
    "epochs": 100,
    "learning_rate": 1e-3,
    "final_learning_rate": 3e-7,
    "schedule": "exponential",
    "loss": "squared_hinge",
    "selection": "best",
    "validate_every": 1,
}
BINARY_CNN = CNN | {"options": {"width": 64, "initial_range": 1.0}, "glorot_scaling": True}

# MatthieuCourbariaux/BinaryConnect of June 2015, mnist_mlp.py and trainer.py.
MLP = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "epochs": 1000,
    "batch_size": 200,
    "learning_rate": 3.0,
    "final_learning_rate": 0.1,
    "schedule": "exponential",
    "loss": "squared_hinge",
    "estimate_moments": True,
    "validate_every": 2,
    "selection": "best",
    "glorot_scaling": False,
}
BINARY_MLP = MLP | {"glorot_scaling": True}

EXPECTED = {
    "bwn_alexnet_imagenet": BWN_ALEXNET,
    "bwn_resnet18_imagenet": BWN_RESNET18,
    "dorefanet_imagenet": DOREFA,
    **{f"{name}_imagenet": SMALL_EPSILON for name in SMALL_EPSILONS},
    **{f"meliusnet{layers}_imagenet": RADAM_MELIUSNET for layers in (22, 29, 42)},
    "meliusnet59_imagenet": ADAM_MELIUSNET,
    "float_cnn_svhn": {"options": SVHN},
    "binary_net_cnn_svhn": {"options": SVHN},
    "binary_connect_cnn_svhn": {"options": SVHN},
    "binary_connect_cnn_stochastic_svhn": {"options": SVHN | {"stochastic": True}},
    # The program loads the 2-bit stage's scales, and sets those of a float network's student.
    "binary_bert_tiny_2_bit_debian_sections": DISTILLED | {"keep_scales": False},
    "binary_bert_tiny_debian_sections": DISTILLED | {"keep_scales": True},
    "binary_bert_tiny_one_stage_debian_sections": DISTILLED | {"keep_scales": False},
    "binary_bert_tiny_direct_debian_sections": BIT | {"teacher": None},
    "binary_net_cnn_paper_fashion_mnist": BINARY_CNN,
    "binary_net_cnn_distilled_fashion_mnist": BINARY_CNN | {"label_weight": 1.0},
    "float_cnn_paper_fashion_mnist": CNN | {"options": {"width": 64}, "glorot_scaling": False},
    "float_mlp_paper_fashion_mnist": MLP | {"options": {}},
    "float_mlp_dropout_paper_fashion_mnist": MLP | {"options": {"dropout": 0.5}},
    "binary_connect_mlp_paper_fashion_mnist": BINARY_MLP | {"options": {}},
    # Table 2 tests the real weights of the stochastic form, so they choose its epoch.
    "binary_connect_mlp_stochastic_paper_fashion_mnist": BINARY_MLP
    | {"options": {"stochastic": True}, "selection": "best_latent"},
}


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_recipe_has_its_papers_settings(name, expected):
    recipe = resolve_recipe(name)
    assert {field: getattr(recipe, field) for field in expected} == expected


def test_each_recipe_that_is_a_papers_own_is_among_them():
    assert {name for name in recipes.names() if "_paper_" in name} < set(EXPECTED)
