"""The delegate for other machines: from this checkout's builds or wheels, or built now."""

import contextlib
import fcntl
import importlib.util
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from onebit.delegate import Delegate
from onebit.errors import OnebitError

NATIVE = Path(__file__).parents[1] / "native"
SOURCES = ("CMakeLists.txt", "delegate", "kernels")
ANDROID_ABIS = {"aarch64": "arm64-v8a", "armv7": "armeabi-v7a"}

_building = threading.Lock()


def target_of(machine: str, bits: int) -> str | None:
    """The build's name of a machine's user space, or None if there is no build for it.

    Args:
        machine: What the kernel calls itself; a 64-bit one may carry a 32-bit user space.
        bits: Of a pointer in that user space.
    """
    if machine in ("x86_64", "AMD64") and bits == 64:
        return "x86_64"
    if machine in ("aarch64", "arm64") and bits == 64:
        return "aarch64"
    if machine in ("aarch64", "arm64", "armv7l", "armv8l") and bits == 32:
        return "armv7"
    return None


def delegate_for(machine: str, bits: int, libc: str, build: bool = True) -> Delegate:
    """The library for a machine.

    For Linux it is built with Zig, against the oldest glibc that the wheels support, unless a build
    or a wheel in `dist/` is newer than the sources. For Android it takes the NDK, which this
    command does not look for.

    Args:
        machine: Its architecture as the kernel names it, such as `aarch64`.
        bits: Of its user space.
        libc: `glibc`, or `bionic` on Android.
        build: Whether it may be built now, with a download of Zig where that is missing. If not,
            the path may be that of a wheel with the library.

    Raises:
        OnebitError: There is no library for it, or the build failed; the hint says what helps.
    """
    target = target_of(machine, bits)
    if libc == "bionic" and target in ANDROID_ABIS:
        abi = ANDROID_ABIS[target]
        library = NATIVE / "build" / f"android-{abi}" / "libonebit_delegate.so"
        if not library.is_file():
            raise OnebitError(
                f"the delegate for Android ({abi}) is not built",
                hint="run `make android ANDROID_NDK=/path/to/ndk`",
            )
        return Delegate(library, _label())
    if target is None or libc not in ("glibc", "bionic"):
        raise OnebitError(f"there is no delegate for {machine}, {bits} bits, with {libc}")
    return Delegate(_linux_library(target, build), _label())


def wheel_for(machine: str, bits: int, folder: Path) -> Path:
    """Writes the delegate's wheel for a Linux machine into a folder.

    Raises:
        OnebitError: As `delegate_for`.
    """
    library = delegate_for(machine, bits, "glibc").library
    target = target_of(machine, bits)
    wheel: Path = native_script("wheels").write_wheel(target, library, folder)
    return wheel


def _linux_library(target: str, build: bool) -> Path:
    if not build:
        ready = _ready_made(target)
        if ready is None:
            raise OnebitError(
                f"the delegate for {target} is not built",
                hint="`edge bench` builds it with Zig in a few minutes; `make wheels` does so now",
            )
        return ready
    with _one_at_a_time():
        ready = _ready_made(target)
        if ready is not None:
            return _unpacked(ready) if ready.suffix == ".whl" else ready
        if not any(_sources()):
            raise OnebitError(
                f"the delegate for {target} is not there",
                hint="run in a checkout of Onebit, or put its wheel into dist/",
            )
        build_library = native_script("build_library")
        try:
            library: Path = build_library.build(target)
        except (build_library.ToolsMissingError, subprocess.CalledProcessError) as error:
            raise OnebitError(f"cannot build the delegate for {target}: {error}") from error
        return library


def _ready_made(target: str) -> Path | None:
    """A library, or a wheel that holds one, which is not older than the sources."""
    newest = max((path.stat().st_mtime for path in _sources()), default=0.0)
    candidates = [NATIVE / "build" / target / "libonebit_delegate.so"]
    candidates += sorted(Path("dist").glob(f"onebit*{_platform(target)}.whl"))
    return next((p for p in candidates if p.is_file() and p.stat().st_mtime >= newest), None)


def _sources() -> Iterator[Path]:
    for name in SOURCES:
        path = NATIVE / name
        yield from (path.rglob("*") if path.is_dir() else [path] if path.exists() else [])


def _unpacked(wheel: Path) -> Path:
    """The library in a wheel, beside it."""
    library = wheel.with_suffix(".so")
    try:
        with zipfile.ZipFile(wheel) as content:
            library.write_bytes(content.read("onebit_delegate/libonebit_delegate.so"))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise OnebitError(f"{wheel} is not a wheel of the delegate: {error}") from error
    return library


def _platform(target: str) -> str:
    return {"x86_64": "x86_64", "aarch64": "aarch64", "armv7": "armv7l"}[target]


def _label() -> str:
    return f"onebit-delegate {native_script('wheels').package_version()}"


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keeps threads and other harnesses from building into one folder."""
    folder = NATIVE / "build"
    with _building:
        try:
            folder.mkdir(exist_ok=True)
            lock: io.IOBase = open(folder / ".lock", "a")  # noqa: SIM115 - closed below
        except OSError:  # a read-only installation builds nothing
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def native_script(name: str) -> ModuleType:
    """A script of `edge/native`, which is not a package, as a module."""
    path = NATIVE / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"onebit_native_{name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise OnebitError(f"{path} is missing", hint="run in a checkout of Onebit")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before  # the scripts put their folder there to find each other
    return module
