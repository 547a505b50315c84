"""The rows of benchmarks/shipped_weights.py: one of each network that ships, as its card says."""

import json

import pytest

from benchmarks.shipped_weights import OUTPUT, shipped, table
from onebit.files import read_json_lines, sha256
from zoo.runs.packed_weights import card_path, pretrained_path

NEWEST = {row["weights"]: row for row in read_json_lines(OUTPUT)}


def test_weights_have_a_row_of_their_file():
    files = {name: sha256(pretrained_path(*name.split("@"))) for name in shipped()}
    assert {name: row["weights_sha256"] for name, row in NEWEST.items()} == files


@pytest.mark.parametrize("weights", NEWEST)
def test_a_row_has_the_accuracy_of_the_card(weights):
    row = NEWEST[weights]
    card = json.loads(card_path(pretrained_path(*weights.split("@"))).read_text())
    assert (row["recipe"], row["seed"]) == (card["recipe"], card["seed"])
    assert row["samples"] == card["accuracy"]["samples"]
    # On another processor a sum may round to the other side of a threshold.
    assert row["accuracy"] == pytest.approx(card["accuracy"]["value"], abs=0.003)


def test_the_table_shows_the_newest_row():
    row = {
        "weights": "a@b", "recipe": "a_b", "seed": 1, "samples": 10000, "accuracy": 0.5,
        "weights_bytes": 1200, "file": {"bytes": 34000, "verdict": "exact"},
    }  # fmt: skip
    lines = table([row, {**row, "accuracy": 0.9}]).splitlines()
    # √(0.9·0.1/10000) = 0.003.
    figures = "10,000 | 90.00 ± 0.30 % | 1.2 kB | 34.0 kB | exact"
    assert lines[2:] == [f"| `a@b` | `a_b` | 1 | {figures} |"]
