"""The table of benchmarks/cross_validation.py against figures computed by hand."""

import numpy as np

from benchmarks.cross_validation import table
from benchmarks.wrong_images import packed, unpacked


def row(recipe, fold, wrong):
    bits = np.zeros(8, bool)
    bits[wrong] = True
    return {"recipe": recipe, "fold": fold, "wrong": packed(bits), "test_images": 8}


def test_bits_of_images_come_back():
    bits = np.arange(13) % 3 == 0
    np.testing.assert_array_equal(unpacked(packed(bits), 13), bits)
    assert packed(np.array([True] + 7 * [False])) == "gA=="


def test_differences_are_taken_digit_by_digit_over_common_folds():
    rows = [
        row("xnor_net_lenet5_mnist_5k", 1, [0, 1]),
        row("xnor_net_lenet5_mnist_5k", 2, [0]),
        row("xnor_net_lenet5_mnist_5k", 3, [0, 1, 2, 3]),
        row("float_lenet5_mnist_5k", 1, [0]),
        row("float_lenet5_mnist_5k", 2, [3]),
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()]
    # 2 of 16: √(0.125·0.875/15) = 8.54 %.
    assert lines[2] == ["`float_lenet5_mnist_5k`", "2", "16", "12.50 ± 8.54", "–"]
    # One more wrong, then one more and one less, of 16: a mean of 1/16, and the standard error is
    # √((3 − 1/16)/15/16) = 11.06 %. The third fold is the first one's only.
    assert lines[3][:3] == ["`xnor_net_lenet5_mnist_5k`", "3", "24"]
    assert lines[3][4] == "+6.25 ± 11.06"


def test_drawn_weights_have_two_lines():
    stochastic = "binary_connect_mlp_stochastic_mnist_5k"
    latent = {"latent_weights_wrong": packed(np.arange(8) < 2)}
    rows = [row(stochastic, 1, [0]) | latent, row("float_mlp_mnist_5k", 1, [])]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()]
    assert [line[0] for line in lines[2:]] == [
        "`float_mlp_mnist_5k`",
        f"`{stochastic}`, real weights at test",
        f"`{stochastic}`",
    ]
    assert [line[4].split()[0] for line in lines[3:]] == ["+25.00", "+12.50"]
