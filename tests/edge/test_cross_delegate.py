"""Which library goes to which machine."""

import os
import time
import zipfile

import pytest

from edge.devices import delegate_builds
from edge.devices.delegate_builds import delegate_for, target_of
from onebit.errors import OnebitError


@pytest.mark.parametrize(
    ("machine", "bits", "target"),
    [
        ("x86_64", 64, "x86_64"),
        ("aarch64", 64, "aarch64"),
        ("aarch64", 32, "armv7"),  # Raspberry Pi OS of 32 bits on a 64-bit kernel
        ("armv7l", 32, "armv7"),
        ("armv8l", 32, "armv7"),
        ("armv6l", 32, None),  # Raspberry Pi Zero: no NEON
        ("x86_64", 32, None),
        ("riscv64", 64, None),
    ],
)
def test_target_follows_the_user_space(machine, bits, target):
    assert target_of(machine, bits) == target


@pytest.fixture
def native(tmp_path, monkeypatch):
    """A checkout's `edge/native` with one source; its builds are up to the test."""
    folder = tmp_path / "native"
    (folder / "kernels").mkdir(parents=True)
    (folder / "kernels" / "a.cc").touch()
    scripts = delegate_builds.NATIVE
    for name in ("wheels", "build_library"):
        (folder / f"{name}.py").symlink_to(scripts / f"{name}.py")
    (folder / "python").symlink_to(scripts / "python")
    monkeypatch.setattr(delegate_builds, "NATIVE", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def make(path, content=b"library", age_seconds=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    moment = time.time() - age_seconds
    os.utime(path, (moment, moment))
    return path


def test_build_that_is_newer_than_the_sources_is_taken(native):
    library = make(native / "build" / "aarch64" / "libonebit_delegate.so")
    found = delegate_for("aarch64", 64, "glibc")
    assert found.library == library
    assert found.label.startswith("onebit-delegate ")


def test_wheel_is_taken_where_the_build_is_old(native, tmp_path):
    make(native / "build" / "aarch64" / "libonebit_delegate.so", b"old", age_seconds=3600)
    wheel = tmp_path / "dist" / "onebit_delegate-0.1.0-py3-none-manylinux_2_28_aarch64.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr("onebit_delegate/libonebit_delegate.so", b"from the wheel")
    assert delegate_for("aarch64", 64, "glibc").library.read_bytes() == b"from the wheel"


def test_old_build_is_built_again(native, monkeypatch):
    make(native / "build" / "armv7" / "libonebit_delegate.so", age_seconds=3600)
    built = []

    class Script:
        ToolsMissingError = RuntimeError

        @staticmethod
        def build(target):
            built.append(target)
            return make(native / "build" / target / "libonebit_delegate.so", b"new")

        @staticmethod
        def package_version():
            return "1"

    monkeypatch.setattr(delegate_builds, "native_script", lambda name: Script)
    assert delegate_for("armv7l", 32, "glibc").library.read_bytes() == b"new"
    assert built == ["armv7"]


def test_looking_without_building_names_what_builds(native, monkeypatch):
    make(native / "build" / "aarch64" / "libonebit_delegate.so", age_seconds=3600)
    monkeypatch.setattr(
        delegate_builds, "native_script", lambda name: pytest.fail(f"{name}.py was run")
    )
    with pytest.raises(OnebitError, match="aarch64 is not built") as raised:
        delegate_for("aarch64", 64, "glibc", build=False)
    assert "make wheels" in raised.value.hint


def test_looking_without_building_leaves_a_wheel_packed(native, tmp_path):
    wheel = make(tmp_path / "dist" / "onebit_delegate-0.1.0-py3-none-manylinux_2_28_aarch64.whl")
    assert delegate_for("aarch64", 64, "glibc", build=False).library.name == wheel.name
    assert list(wheel.parent.iterdir()) == [wheel]


@pytest.mark.parametrize(
    ("machine", "bits", "libc", "words"),
    [
        ("aarch64", 64, "bionic", r"arm64-v8a\) is not built; run `make android"),
        ("armv8l", 32, "bionic", "armeabi-v7a"),
        ("riscv64", 64, "glibc", "no delegate for riscv64, 64 bits"),
        ("aarch64", 64, "unknown", "with unknown"),
    ],
)
def test_machine_without_a_library_gets_a_hint(native, machine, bits, libc, words):
    with pytest.raises(OnebitError, match=words):
        delegate_for(machine, bits, libc)


def test_android_takes_the_ndks_build(native):
    library = make(native / "build" / "android-arm64-v8a" / "libonebit_delegate.so")
    assert delegate_for("aarch64", 64, "bionic").library == library
