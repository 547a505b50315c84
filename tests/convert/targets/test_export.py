"""The command `export`: targets, options, and outputs that are not Onebit's."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.targets.registry import TARGETS, load_target
from onebit.errors import OnebitError
from onebit.own_folders import require_own_folder, write_folder

MODEL = Path(__file__).parents[2] / "written_before" / "model.tflite"


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_every_target_is_listed_in_the_help():
    text = run("export", "--help").output
    for name, (_, summary) in TARGETS.items():
        assert f"{name}: " in text
        assert summary.split()[0] in text
        assert load_target(name).write


def test_npz_is_that_of_the_weights_command(tmp_path):
    assert run("export", MODEL, "--to", "npz", "-o", tmp_path / "a.npz").exit_code == 0
    assert run("weights", MODEL, "-o", tmp_path / "b.npz").exit_code == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert set(a) == set(b)
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.mark.parametrize(("options", "symbol"), [([], "net"), (["--name", "my-net"], "my_net")])
def test_c_array_holds_the_file(tmp_path, options, symbol):
    done = run("export", MODEL, "--to", "c-array", "-o", tmp_path / "net.h", *options)
    assert (done.exit_code, done.output) == (0, f"{MODEL.stat().st_size:,} bytes as a C array\n")
    text = (tmp_path / "net.h").read_text()
    assert f"{symbol}_size = {MODEL.stat().st_size};" in text
    assert bytes(int(b, 16) for b in re.findall(r"0x(..),", text)) == MODEL.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "npz", "-o", "x.npz", "--name", "a"], "--name has no effect with --to npz"),
        (["--to", "npz", "-o", "x.h"], "must end in .npz"),
        (["--to", "nowhere", "-o", "x"], "'nowhere' is not one of"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("export", MODEL, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", list(TARGETS))
def test_damaged_file_is_refused_by_every_target(target, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(MODEL.read_bytes()[:3000])
    output = tmp_path / f"net{load_target(target).suffix or ''}"
    done = run("export", damaged, "--to", target, "-o", output)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"{damaged} is truncated or damaged" in done.stderr
    assert list(tmp_path.iterdir()) == [damaged]


def test_file_of_others_is_kept_unless_forced(tmp_path):
    path = tmp_path / "net.h"
    path.write_text("precious")
    arguments = ["export", MODEL, "--to", "c-array", "-o", path]
    done = run(*arguments)
    assert (done.exit_code, path.read_text()) == (1, "precious")
    assert "is not an earlier output" in done.stderr
    assert run(*arguments, "--force").exit_code == 0
    assert run(*arguments).exit_code == 0


def test_folder_with_other_or_changed_files_is_kept(tmp_path):
    folder = tmp_path / "out"
    require_own_folder(folder, target="c")
    write_folder(folder, {"a.c": "1", "src/b.c": b"2"}, target="c")
    assert (folder / "src/b.c").read_bytes() == b"2"
    require_own_folder(folder, target="c")
    (folder / "a.c").write_text("changed")
    with pytest.raises(OnebitError, match=r"a\.c exists, and is not an earlier output"):
        require_own_folder(folder, target="c")
    require_own_folder(folder, force=True, target="c")
    write_folder(folder, {"a.c": "1", "src/b.c": b"2"}, target="c")
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(OnebitError, match=r"mine\.txt exists"):
        require_own_folder(folder, target="c")
    with pytest.raises(OnebitError, match="exists"):
        require_own_folder(folder / "mine.txt", target="c")


def test_an_export_of_another_kind_is_kept(tmp_path):
    write_folder(tmp_path / "out", {"a.c": "1"}, target="c")
    with pytest.raises(OnebitError, match="out holds an export of another kind, c; give another"):
        require_own_folder(tmp_path / "out", target="verilog")
    require_own_folder(tmp_path / "out", force=True, target="verilog")
