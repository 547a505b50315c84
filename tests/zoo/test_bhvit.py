"""BHViT against its authors' program: parameters, shapes, errors."""

import pytest

import zoo
from onebit.errors import OnebitError
from onebit.keras import keras
from zoo.summary import layer_records, totals

ATTENTION = {
    "input_shape": (4, 4, 1),
    "classes": 3,
    "depths": (1,),
    "widths": (16,),
    "conv_stages": 0,
    "patch": 1,
    "window": 2,
    "head_width": 8,
}
FULL = {"input_shape": (224, 224, 3), "classes": 1000, "widths": (64, 128, 256, 512)}


def program_parameters(
    input_shape, classes, depths, widths, conv_stages=2, patch=4, head_width=64, real=False
):
    """Parameters of the program's layers, counted by hand, but for a bias of its stem."""

    def dense(inputs, outputs):
        # Thresholds in front; batch normalisation and RPReLU behind.
        return inputs * outputs + inputs + (2 + 3) * outputs

    def convolutions(c):
        branch = 9 * c * c // 4 + c + 3 * c
        return c + 3 * branch + 2 * c

    def attention(c):
        tokens, join, heads = 3 * c, c, 2 * (c // head_width)
        # RSign of queries, keys and values; normalisation, RPReLU and scales behind.
        return tokens + 3 * (dense(c, c) + c) + heads + 5 * c + join + dense(c, c) + 2 * c

    def feed_forward(c, expansion):
        return dense(c, expansion * c) + dense(expansion * c, c) + 2 * c

    side = input_shape[0] // patch
    count = (patch**2 * input_shape[2] + 2 + side**2) * widths[0]
    for stage, (depth, c) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            before, side = widths[stage - 1], side // 2
            count += 2 * before + 4 * before * c + 2 * c + side**2 * c
            count += 0 if real else before + 3 * c
        mixed = convolutions(c) if stage < conv_stages else attention(c)
        # Two normalisations and six shifts with a scale each.
        block = mixed + feed_forward(c, 8 if stage < conv_stages else 4) + 4 * c + 12 * c
        count += depth * block
    return count + 2 * widths[-1] + widths[-1] * classes + classes


def trained(model):
    return sum(keras.backend.count_params(weight) for weight in model.trainable_weights)


def test_hand_count_is_the_programs():
    # Counted in the authors' program with PyTorch; less the stem's bias of 64.
    assert program_parameters(**FULL, depths=(2, 2, 6, 2)) == 13_783_096 - 64
    assert program_parameters(**FULL, depths=(3, 4, 8, 4)) == 22_646_056 - 64
    assert program_parameters(**FULL, depths=(3, 4, 8, 4), real=True) == 22_642_920 - 64


def test_a_block_of_attention_has_the_parameters_counted_by_hand():
    model = zoo.build("bhvit_micro", **ATTENTION)
    sizes = {key: value for key, value in ATTENTION.items() if key != "window"}
    assert trained(model) == program_parameters(**sizes)
    attention = model.get_layer("stage_1_1_mixer_attention")
    # Four windows, each of four places and four summaries.
    assert attention.output_shape == (None, 4, 8, 16)
    assert attention.product_macs == 2 * 4 * 8 * 8 * 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("bhvit_tiny", {}, 13_783_096),
        ("bhvit_small", {}, 22_646_056),
        ("bhvit_small", {"real_downsampling": True}, 22_642_920),
    ],
)
def test_networks_have_the_programs_parameters(name, options, parameters):
    model = zoo.build(name, **options)
    assert trained(model) == parameters - 64
    sums = totals(layer_records(model))
    assert sums["binary_macs"] > 0.95 * sums["macs"] or options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 16)}, "1 depths and 2 widths are not of as many stages"),
        (
            {"depths": (1, 1), "widths": (8, 20)},
            "20 channels are not a multiple of the 8 before them",
        ),
        ({"head_width": 3}, "heads of 3 channels do not divide 16 channels"),
        ({"window": 3}, "4×4 does not divide into windows of 3×3"),
    ],
)
def test_options_that_do_not_fit_give_one_line(options, message):
    with pytest.raises(OnebitError, match=message):
        zoo.build("bhvit_micro", **{**ATTENTION, **options})
