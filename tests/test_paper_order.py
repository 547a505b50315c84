"""The table of benchmarks/paper_order.py against figures computed by hand."""

import base64

import numpy as np

from benchmarks.paper_order import pairs, table


def row(variant, seed, wrong):
    bits = np.zeros(16, bool)
    bits[wrong] = True
    packed = base64.b64encode(np.packbits(bits).tobytes()).decode()
    return {
        "variant": variant, "seed": seed, "wrong": packed, "latent_weights_wrong": packed,
        "train_images": 100, "test_images": 16, "epochs": 3, "compute": "float32",
        "curve": {"accuracy": {"2": 0.5, "3": 0.75}},
    }  # fmt: skip


def cells(rows):
    return [[cell.strip() for cell in line.split("|")[3:-1]] for line in table(rows).splitlines()]


def test_one_seed_has_a_standard_error_over_images_only():
    lines = cells([row("float_mlp", 1, [0, 5]), row("binary_connect_mlp", 1, [5, 6, 7])])
    assert lines[2] == ["none", "1", "75.00", "12.50", "–", "–", "–"]
    # Right where the other is wrong: 2 images more, 1 less, of 16: (2 − 1) / 16 = 6.25 %, and the
    # standard error is √((3 − 1/16) / 15 / 16) = 11.06 %.
    assert lines[3][3:] == ["18.75", "+6.25", "– (1)", "11.06"]


def test_seeds_are_paired():
    rows = [
        *(row("float_mlp", seed, range(seed)) for seed in (1, 2, 3)),
        *(row("float_mlp_dropout", seed, range(seed + 1)) for seed in (1, 2)),
    ]
    lines = cells(rows)
    # 1, 2 and 3 of 16: a deviation of 6.25 %, over √3.
    assert lines[2][3] == "12.50 ± 3.61"
    # One image more with both seeds, whatever their number; image 1, then image 2.
    assert lines[3][:2] == ["50 % dropout", "2"]
    assert lines[3][4:6] == ["+6.25", "0.00 (2)"]


def test_the_stochastic_form_is_compared_with_the_deterministic_one():
    latent = row("binary_connect_mlp_stochastic", 1, [0, 1])["wrong"]
    rows = [
        row("binary_connect_mlp", 1, [0]),
        row("binary_connect_mlp_stochastic", 1, [0, 1, 2]) | {"latent_weights_wrong": latent},
    ]
    lines = [line.split("|") for line in pairs(rows).splitlines()[2:]]
    assert [line[3].strip() for line in lines] == ["+6.25", "+6.25"]
    assert "real weights" in lines[0][1]
    assert "signs" in lines[1][1]
