"""The library's needs and exports, its wheels, and the sanitized build with the kept corpus."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.kernels import KERNELS

from .conftest import NATIVE

ROOT = Path(__file__).parents[3]
ALLOWED = {"libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
EXPORTED = {
    "tflite_plugin_create_delegate",
    "tflite_plugin_destroy_delegate",
    "onebit_delegate_features",
}


# A build with Zig takes more than two minutes of CPU; the other tests need that for aarch64.
TARGETS = ["aarch64", *(pytest.param(name, marks=pytest.mark.slow) for name in ("x86_64", "armv7"))]


class Elf:
    """The dynamic section of a little-endian ELF file: what it needs and what it exports."""

    def __init__(self, data):
        wide = data[4] == 2
        offset, entry, count, _ = struct.unpack_from(
            "<Q10xHHH" if wide else "<I10xHHH", data, 0x28 if wide else 0x20
        )
        sections = []
        for i in range(count):
            at = offset + i * entry
            layout = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
            sections.append(struct.unpack_from(layout, data, at))

        def text(table, at):
            start = sections[table][4] + at
            return data[start : data.index(b"\0", start)].decode()

        self.needed, self.exported, self.versions = set(), set(), set()
        for _, kind, _, _, start, size, link, _, _, width in sections:
            body = data[start : start + size]
            if kind == 6:  # dynamic
                for tag, value in struct.iter_unpack("<qQ" if wide else "<iI", body):
                    if tag == 1:
                        self.needed.add(text(link, value))
            elif kind == 11:  # dynamic symbols
                for at in range(0, size, width):
                    if wide:
                        name, info, _, section = struct.unpack_from("<IBBH", body, at)
                    else:
                        name, _, _, info, _, section = struct.unpack_from("<IIIBBH", body, at)
                    if section and info >> 4:
                        self.exported.add(text(link, name))
            elif kind == 0x6FFFFFFE:  # versions needed
                at = 0
                while True:
                    _, aux_count, _, aux, following = struct.unpack_from("<HHIII", body, at)
                    spot = at + aux
                    for _ in range(aux_count):
                        _, _, _, name, step = struct.unpack_from("<IHHII", body, spot)
                        self.versions.add(text(link, name))
                        spot += step
                    if not following:
                        break
                    at += following


def check_library(data, oldest_glibc=None):
    elf = Elf(data)
    assert elf.needed <= ALLOWED | {"ld-linux-armhf.so.3"}, elf.needed
    assert elf.exported == EXPORTED
    versions = {v.removeprefix("GLIBC_") for v in elf.versions}
    numbers = [tuple(map(int, v.split("."))) for v in versions if v[0].isdigit()]
    if oldest_glibc:
        assert max(numbers) <= oldest_glibc, elf.versions


def test_library_depends_on_libc_only_and_exports_three_symbols(onebit_delegate):
    check_library(onebit_delegate.library_path().read_bytes())


def test_features_are_those_of_the_list_of_kernels(onebit_delegate):
    features = onebit_delegate.features()
    assert features["version"] == onebit_delegate.__version__
    listed = {k.name: (k.op, k.isa, [k.mr, k.nr]) for k in KERNELS}
    rows = {r["name"]: (r["op"], r["isa"], r["tile"]) for r in features["kernels"]}
    assert rows.items() <= listed.items()
    assert {r["isa"] for r in features["kernels"] if r["usable"]} <= set(features["isas"])
    assert {op for op, isa, _ in rows.values() if isa == "scalar"} == {k.op for k in KERNELS}


def test_every_kernel_has_the_file_of_its_name():
    for kernel in KERNELS:
        assert (NATIVE / "kernels" / f"{kernel.op}__{kernel.isa}.cc").is_file(), kernel.name


def test_files_of_an_instruction_set_share_no_functions(onebit_delegate):
    """Of a function that several files hold the linker keeps one, perhaps with AVX-512 in it."""
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    build = onebit_delegate.library_path().parent
    objects = [o for o in build.rglob("kernels/*.o") if "__" in o.name]
    assert len(objects) >= len({k.op for k in KERNELS})
    for path in objects:
        done = subprocess.run(["nm", path], capture_output=True, text=True, check=True)
        shared = [line for line in done.stdout.splitlines() if line.split()[-2] in "VWuv"]
        assert not shared, f"{path.name}: {shared}"


@pytest.mark.parametrize("target", TARGETS)
def test_wheels_library_is_stripped(wheel, target):
    with zipfile.ZipFile(wheel(target)) as archive:
        data = archive.read("onebit_delegate/libonebit_delegate.so")
    assert b".symtab" not in data
    assert b".debug_info" not in data


@pytest.mark.parametrize("target", TARGETS)
def test_wheel_holds_a_library_for_glibc_2_28(wheel, target):
    path = wheel(target)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert "onebit_delegate/__init__.py" in archive.namelist()
        check_library(archive.read("onebit_delegate/libonebit_delegate.so"), (2, 28))
    assert path.name.endswith(".whl")


@pytest.mark.slow
def test_wheel_installs_and_runs(wheel, tmp_path):
    with zipfile.ZipFile(wheel("x86_64")) as archive:
        archive.extractall(tmp_path)
    code = "import onebit_delegate as o; print(o.features()['isas']); o.load()"
    environment = {k: v for k, v in os.environ.items() if k != "ONEBIT_DELEGATE_LIBRARY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "scalar" in done.stdout, done.stderr


CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.tflite"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_corpus_no_longer_crashes(path, onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(
            model_content=path.read_bytes(), experimental_delegates=[onebit_delegate.load()]
        )
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (RuntimeError, ValueError):
        pass


@pytest.mark.slow
def test_fuzzing_for_a_minute_finds_nothing(native_build, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("the sanitizers' libraries come with gcc")
    library = native_build.build(sanitize="address")
    command = [sys.executable, "-m", "tests.edge.native.fuzz", "--minutes", "1"]
    done = subprocess.run(
        [*command, "--library", str(library)], cwd=ROOT, capture_output=True, text=True
    )
    assert "crashes: 0 here" in done.stdout, done.stdout + done.stderr
