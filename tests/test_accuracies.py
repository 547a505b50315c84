"""The gaps of benchmarks/accuracies.py against figures computed by hand, and shared trainings."""

import dataclasses
import json

import numpy as np

from benchmarks.accuracies import gaps_table
from benchmarks.stages import share_stages
from benchmarks.wrong_images import packed
from zoo.recipes import Recipe, resolve_recipe

BINARY, FLOAT = "binary_net_cnn_paper_fashion_mnist", "float_cnn_paper_fashion_mnist"


def row(recipe, seed, wrong):
    bits = np.zeros(16, bool)
    bits[wrong] = True
    return {
        "recipe": recipe, "seed": seed, "wrong": packed(bits), "samples": 16, "epochs": 2,
        "history": {"accuracy": [0.5, 0.75]},
    }  # fmt: skip


def test_gaps_are_paired_by_seed_and_image():
    rows = [
        row(BINARY, 1, [0, 1]),
        row(BINARY, 2, [2, 3, 4]),
        row(FLOAT, 1, [0]),
        row(FLOAT, 2, [2]),
        {"recipe": "xnor_net_lenet5_fashion_mnist", "seed": 1},  # of before images were kept
    ]
    lines = [line.split("|")[1:-1] for line in gaps_table(rows).splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines]
    assert cells[2] == [f"`{FLOAT}`", "2", "2", "75.00", "6.25 ± 0.00", "–", "–", "–"]
    # 1 and 2 images of 16 more: 9.375 ± 3.125 %. Over images: 1, 3 and 4 with a half each.
    assert cells[3][:4] == [f"`{BINARY}`", "2", "2", "75.00"]
    assert cells[3][4:7] == ["15.62 ± 3.12", "+9.38", "3.12 (2)"]
    over_images = 100 * ((3 * 0.25 - 16 * (1.5 / 16) ** 2) / 15 / 16) ** 0.5
    assert cells[3][7] == f"{over_images:.2f}"


def finished(folder, recipe):
    folder.mkdir(parents=True)
    config = {"recipe": dataclasses.asdict(recipe)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "card.json").write_text("{}")


def test_a_finished_teacher_is_shared(tmp_path):
    settings = {"compute": "bfloat16"}
    finished(tmp_path / "other_seed", resolve_recipe(FLOAT, settings, seed=1))
    finished(tmp_path / "baseline", resolve_recipe(FLOAT, settings, seed=2))
    student = resolve_recipe("binary_net_cnn_distilled_fashion_mnist", settings, seed=2)
    share_stages(tmp_path / "student", student, tmp_path)
    config = json.loads((tmp_path / "student" / "teacher" / "config.json").read_text())
    assert config["recipe"]["seed"] == 2


def test_a_teachers_teacher_is_shared(tmp_path):
    first = Recipe("float_mlp", "mnist_5k", name="first")
    second = dataclasses.replace(first, name="second", teacher=first)
    third = dataclasses.replace(first, name="third", teacher=second)
    finished(tmp_path / "run" / "teacher", first)
    share_stages(tmp_path / "student", third, tmp_path)
    assert [path.name for path in (tmp_path / "student" / "teacher").iterdir()] == ["teacher"]
    assert (tmp_path / "student" / "teacher" / "teacher" / "card.json").is_file()


def test_nothing_is_made_where_there_is_nothing_to_share(tmp_path):
    share_stages(tmp_path / "student", resolve_recipe(FLOAT), tmp_path)
    assert not list(tmp_path.iterdir())
