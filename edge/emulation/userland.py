"""Unpacks a recipe's packages and wheels into a folder of the user's cache."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from edge.emulation.recipes import Recipe
from onebit.errors import OnebitError

# Part of the folder's name: raise it when the code below makes something else of a recipe.
VERSION = 2
UNUSED_SECONDS = 30 * 24 * 3600
MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "dpkg-deb")
PACKAGE_OF = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    str(KEYRING): "debian-archive-keyring",
}
PYTHON = (3, 11)  # bookworm's
FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "pi:x:1000:1000:,,,:/home/pi:/bin/sh\n"
        "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\npi:x:1000:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\npi:*:19000:0:99999:7:::\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/hostname": "raspberrypi\n",
    "etc/hosts": "127.0.0.1 localhost raspberrypi\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "etc/resolv.conf": "",
    # What Android has of its own, for a board that is reached by adb.
    "system/bin/getprop": '#!/bin/sh\nexec sed -n "s/^$1=//p" /system/build.prop\n',
    "system/build.prop": (
        "ro.product.manufacturer=Onebit\nro.product.model=Emulated board\n"
        "ro.product.cpu.abi=arm64-v8a\nro.build.version.release=14\n"
        "ro.build.version.sdk=34\n"
    ),
}
FOLDERS = (
    *("data/local", "dev", "home", "proc", "root", "run", "sys", "system/bin", "tmp", "var/tmp"),
    "usr/local/lib/python3.11/dist-packages",
)


class UnavailableError(OnebitError):
    """This machine cannot make or run an emulated device."""


def cache_folder() -> Path:
    """Where userlands are kept: the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "onebit" / "userlands"


def build(recipe: Recipe) -> Path:
    """The folder with the userland, which the first call makes: 15 s and 100 MB of downloads.

    Several processes may call this at once.

    Raises:
        UnavailableError: A tool or the network is missing.
    """
    content = json.dumps([VERSION, asdict(recipe), FILES, FOLDERS], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    cache = cache_folder()
    folder = cache / f"{recipe.name}-{digest}"
    if folder.is_dir():
        os.utime(folder)
        return folder
    _require_tools()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot write {cache}: {error.strerror}") from error
    with _locked(cache / f"{recipe.name}.lock"), tempfile.TemporaryDirectory(dir=cache) as scratch:
        if not folder.is_dir():
            root = Path(scratch, "root")
            unpack_packages(recipe, root, Path(scratch, "apt"))
            if recipe.architecture != "amd64":
                _finish(root)
            for name, requirements in recipe.runtimes.items():
                _unpack_wheels(recipe, requirements, root / "opt" / "runtimes" / name)
            _compile(root)
            root.rename(folder)
            os.utime(folder)
        _remove_unused(cache, recipe.name)
    return folder


def _remove_unused(cache: Path, name: str) -> None:
    """Removes what earlier recipes left and nobody has used for a long time."""
    for folder in cache.glob(f"{name}-*"):
        if time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _require_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [] if KEYRING.is_file() else [str(KEYRING)]
    if missing:
        packages = " ".join(sorted({PACKAGE_OF[each] for each in missing}))
        raise UnavailableError(
            f"Debian's packages cannot be unpacked: {', '.join(missing)} is missing",
            hint=f"sudo apt-get install {packages}",
        )


def unpack_packages(recipe: Recipe, root: Path, state: Path) -> None:
    """Unpacks packages and what they depend on into `root`; runs none of their scripts.

    apt gets a separate state, in the folder `state`: it checks the release's signature and the
    packages' hashes, needs no root and leaves the machine's packages alone.

    Raises:
        UnavailableError: The packages cannot be had.
    """
    for folder in ("etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {recipe.suite} main\n")
    (state / "apt.conf").write_text(
        f'Dir::Etc "{state}/etc"; Dir::Etc::sourcelist "{state}/sources.list";'
        f'Dir::State::lists "{state}/lists"; Dir::State::status "{state}/status";'
        f'Dir::Cache "{state}"; Dir::Cache::archives "{state}/archives";'
        f'APT::Architecture "{recipe.architecture}";'
        f'APT::Architectures {{ "{recipe.architecture}"; }};'
        'APT::Install-Recommends "false"; APT::Sandbox::User ""; Acquire::Languages "none";'
        'APT::Update::Error-Mode "any"; Acquire::Retries "2";'
    )
    apt = ["apt-get", "-q", "-y"]
    environment = os.environ | {"APT_CONFIG": str(state / "apt.conf"), "LC_ALL": "C"}
    _run([*apt, "update"], environment)
    _run([*apt, "install", "--download-only", *recipe.packages], environment)
    root.mkdir()
    for package in sorted((state / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], environment)


def _unpack_wheels(recipe: Recipe, requirements: dict[str, str], folder: Path) -> None:
    lines = [f"{name} --hash=sha256:{digest}\n" for name, digest in requirements.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(lines)
        file.flush()
        platforms = [f"--platform={platform}" for platform in recipe.wheel_platforms]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += ["--require-hashes", "--only-binary=:all:", f"--python-version={recipe.python}"]
        command += [*platforms, f"--target={folder}", "-r", file.name]
        _run(command, dict(os.environ))


def _compile(root: Path) -> None:
    """Compiles Python's files, for which the emulator takes seconds at each import.

    Byte code depends on Python's version only. Another Python than the userland's leaves it out.
    """
    if sys.version_info[:2] == PYTHON and (root / "usr/lib/python3.11").is_dir():
        folders = ("usr/lib/python3", "usr/lib/python3.11", "opt/runtimes")
        command = [sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/"]
        command += ["--invalidation-mode", "unchecked-hash"]
        # Some files of Debian are meant for other versions of Python: exit code 1.
        subprocess.run([*command, *(str(root / name) for name in folders)], capture_output=True)


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "ERROR"))]
        reason = (errors or done.stderr.splitlines() or ["no message"])[-1]
        raise UnavailableError(f"{Path(command[0]).name} failed: {reason}")


def _finish(root: Path) -> None:
    """Does what the packages' scripts would have done, as far as it is needed here."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (root / name).write_text(text)
        (root / name).chmod(0o755 if text.startswith("#!") else 0o644)
    # Android's commands, none of which is Python.
    for folder in ("bin", "usr/bin"):
        for program in sorted((root / folder).iterdir()):
            link = root / "system/bin" / program.name
            if not program.name.startswith(("python", "py3")) and not os.path.lexists(link):
                link.symlink_to(f"/{folder}/{program.name}")
    for library in root.glob("usr/lib/*/*/lib*.so.3"):
        if library.parent.name in ("blas", "lapack"):
            target = library.parent.parent / library.name
            target.symlink_to(f"{library.parent.name}/{library.name}")
