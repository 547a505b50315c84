"""The tables of benchmarks/binary_bert.py against figures computed by hand."""

import numpy as np
import pytest

from benchmarks.binary_bert import FLOAT, ONE_STAGE, STAGED, pairs, table
from benchmarks.wrong_images import packed


def row(recipe, seed, wrong):
    bits = np.zeros(8, bool)
    bits[wrong] = True
    return {
        "recipe": recipe, "seed": seed, "wrong": packed(bits), "samples": 8, "epochs": 5,
        "accuracy": 1 - bits.mean(), "file": {"bytes": 2000},
    }  # fmt: skip


def cells(rows):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()]


def test_a_networks_errors_are_compared_with_those_of_its_seeds_float_network():
    rows = [
        row(FLOAT, 1, [0]),
        row(STAGED, 1, [0, 1]),
        row(FLOAT, 2, [3]),
        row(STAGED, 2, [3, 4, 5, 6]),
        row(STAGED, 3, []),  # its float network is missing
    ]
    lines = cells(rows)
    assert lines[2][1:] == ["on the labels", "5", "2", "87.50 ± 0.00", "–", "–", "–", "2 kB"]
    # 1 and 3 texts of 8 more: 25 %, with deviations of 12.5 %.
    assert lines[3][3:7] == ["3", "75.00 ± 14.43", "+25.00", "12.50 (2)"]
    # Over texts: 1, 4, 5 and 6 with 50 % each, four with 0.
    assert float(lines[3][7]) == pytest.approx(100 * (8 * 0.25**2 / 7 / 8) ** 0.5, abs=0.005)


def test_the_stage_between_is_judged_by_the_texts_of_the_same_seed():
    rows = [row(STAGED, 1, [0, 1]), row(ONE_STAGE, 1, [1, 2, 3]), row(ONE_STAGE, 2, [4])]
    lines = pairs(rows).splitlines()
    # One more and two less of 8, which leaves -1; the standard error is √((3 - 1/8) / 7 / 8).
    expected = "| float → 2-bit → 1-bit | float → 1-bit | -12.50 | – (1) | 22.66 |"
    assert lines[2:] == [expected]
