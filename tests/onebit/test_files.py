import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onebit import files
from onebit.errors import OnebitError
from tests.support.damage import boastful_npz, scrambled


def test_replacing_puts_the_file_in_place(tmp_path):
    with files.replacing(tmp_path / "new" / "file.txt") as temporary:
        assert temporary.name == "file.txt"
        temporary.write_text("whole")
    assert (tmp_path / "new" / "file.txt").read_text() == "whole"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["file.txt"]


@pytest.mark.parametrize("name", ["run", "replaced"])
def test_replacing_replaces_a_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "old").touch()
    with files.replacing(tmp_path / name) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in (tmp_path / name).iterdir()] == ["new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_folder_returns_when_another_does_not_take_its_place(tmp_path, monkeypatch, error):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()

    def fail(source, target):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((KeyboardInterrupt, OnebitError)), files.replacing(tmp_path / "run") as new:
        new.mkdir()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["run", "run/old"]


def test_file_does_not_take_the_place_of_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(OnebitError, match="it is a folder") as error:
        files.write_text(tmp_path / "folder", "text")
    assert "\n" not in str(error.value)
    assert (tmp_path / "folder" / "kept").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_failed_block_leaves_the_old_content(tmp_path):
    (tmp_path / "file").write_text("old")

    def fail():
        with files.replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert (tmp_path / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_killed_writer_leaves_the_old_content(tmp_path):
    (tmp_path / "file").write_text("old")
    code = (
        "import sys, time; from onebit.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "file")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.kill()
    assert (tmp_path / "file").read_text() == "old"


def test_arrays_on_a_full_disk_are_one_line(tmp_path):
    """A limit of the file's size stands for the disk's; nothing may complain at exit, either."""
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from onebit import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    files.write_arrays(sys.argv[1], {'a': np.zeros(1000)})\n"
        "except files.OnebitError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {tmp_path / 'a.npz'}: ")
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_place_under_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OnebitError, match="cannot write") as error:
        files.write_text(tmp_path / "file" / "x", "text")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_write_protected_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OnebitError, match="cannot write"):
        files.write_text(tmp_path / "x", "text")
    tmp_path.chmod(0o700)


def test_json_lines_name_the_damaged_line(tmp_path):
    path = tmp_path / "x.jsonl"
    assert files.read_json_lines(path) == []
    path.write_text('{"a": 1}\n[2]\n')
    assert files.read_json_lines(path) == [{"a": 1}, [2]]
    path.write_text('{"a": 1}\n{"a":\n')
    with pytest.raises(OnebitError, match=r"x\.jsonl, line 2, is not valid JSON"):
        files.read_json_lines(path)


def test_read_arrays_gives_those_that_were_written(tmp_path):
    files.write_arrays(tmp_path / "x.npz", {"a": np.arange(3), "b": np.zeros((2, 0))})
    arrays = files.read_arrays(tmp_path / "x.npz")
    assert list(arrays) == ["a", "b"]
    np.testing.assert_array_equal(arrays["a"], np.arange(3))
    assert arrays["b"].shape == (2, 0)


def test_read_arrays_refuses_other_files(tmp_path):
    path = tmp_path / "x.npz"
    boastful_npz(path)
    with pytest.raises(ValueError, match=r"Unable to allocate"):
        files.read_arrays(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(4))
    with pytest.raises(ValueError, match="a single array without a name"):
        files.read_arrays(path)
    with pytest.raises(ValueError, match="No such file"):
        files.read_arrays(tmp_path / "absent.npz")


def test_read_arrays_raises_nothing_else_on_scrambled_files(tmp_path):
    path = tmp_path / "x.npz"
    with path.open("wb") as file:  # NumPy reads a single array too, and raises TokenError
        np.save(file, np.zeros(4))
    for content in scrambled(path.read_bytes(), 100, seed=3):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"\w"):
            files.read_arrays(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_read_json_names_a_damaged_file(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(OnebitError, match=r"x\.json is not valid JSON"):
        files.read_json(tmp_path / "x.json")


def test_write_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_bytes_of_other_files_are_read():
    """A device without an end is another file."""
    assert files.read_tflite(Path("/dev/zero")) is None


@pytest.mark.parametrize(
    "command",
    ["convert audit", "convert model -o x.tflite", "edge report -o x.html", "edge compare"],
)
def test_device_without_an_end_is_refused_in_one_line(command, tmp_path):
    words = command.split()
    ended = subprocess.run(
        [sys.executable, "-m", "onebit", *words[:2], "/dev/zero", *words[2:],
         *(["/dev/zero"] if words[1] == "compare" else [])],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode in (1, 2)
    assert ended.stderr.startswith("error: /dev/zero is ")
    assert list(tmp_path.iterdir()) == []
