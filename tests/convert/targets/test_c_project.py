"""The exported folder as its user has it: it builds, and agrees with its test vectors."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from convert.__main__ import main

MODEL = Path(__file__).parents[2] / "written_before" / "model.tflite"


def export(folder, *options):
    arguments = ["export", MODEL, "--to", "c", "-o", folder, *options]
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "digits-1"
    done = export(folder)
    assert (done.exit_code, done.output) == (0, f"15 files; try: make -C {folder} check\n")
    return folder


def test_the_command_to_try_works_with_any_name(tmp_path):
    folder = tmp_path / "the bird's"
    done = export(folder)
    command = shlex.split(done.output.partition("try: ")[2])
    assert command == ["make", "-C", str(folder), "check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def make(folder, *arguments):
    command = ["make", "-C", str(folder), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_make_check_compares_with_the_oracle(exported):
    done = make(exported, "check", "CFLAGS=-O1 -Werror")
    assert done.returncode == 0, done.stderr
    assert "digits_1: 2 of 2 vectors agree" in done.stdout
    # What was built may go when the folder is exported again.
    assert export(exported).exit_code == 0


def test_wrong_weights_are_noticed(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "net")
    source = tmp_path / "net" / "src" / "digits_1.c"
    text = source.read_text()
    place = text.index("0x", text.index("weights_"))
    source.write_text(text[:place] + "~" + text[place:])
    done = make(tmp_path / "net", "check", "CFLAGS=-O0")
    assert done.returncode != 0
    assert "vector 1 is WRONG" in done.stdout
    assert export(tmp_path / "net").exit_code == 1  # a changed file is kept


def test_two_networks_link_into_one_program(exported, tmp_path):
    other = tmp_path / "other"
    assert export(other, "--name", "second").exit_code == 0
    (tmp_path / "main.c").write_text(
        '#include "digits_1.h"\n#include "second.h"\n'
        "static digits_1_input_t a; static digits_1_output_t b;\n"
        "static second_input_t c; static second_output_t d;\n"
        "int main(void) { return digits_1_invoke(&a, &b) || second_invoke(&c, &d); }\n"
    )
    sources = [*(exported / "src").glob("*.c"), *(other / "src").glob("*.c")]
    command = [
        "cc", "-std=c99", f"-I{exported / 'src'}", f"-I{other / 'src'}", "main.c",
        *map(str, sources), "-o", "main",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run(["./main"], cwd=tmp_path, check=False).returncode == 0


def test_readme_counts_flash_and_ram(exported):
    text = (exported / "README.md").read_text()
    # Words of ±1 weights, and a scale and a bias each: 784-16-16-16-10.
    words, channels = 16 * 25 + 16 + 16 + 10, 16 + 16 + 16 + 10
    assert f"| constants (flash) | {4 * words + 8 * channels:,} |" in text
    assert "| hidden_1 | ±1 weights |" in text
    assert "12,544 |" in text  # 784 × 16 multiply-accumulates
