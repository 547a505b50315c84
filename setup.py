"""Builds what pyproject.toml cannot describe: the delegate's library and the wheel's tag.

A wheel holds the delegate of one platform: this machine's, or the one that ONEBIT_TARGET names
(x86_64, aarch64, armv7), which is cross-compiled. ONEBIT_WITHOUT_DELEGATE=1 leaves it out.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

NATIVE = Path("edge/native")
WITHOUT = "ONEBIT_WITHOUT_DELEGATE"
TARGET = os.environ.get("ONEBIT_TARGET")
HAS_DELEGATE = sys.platform == "linux" and not os.environ.get(WITHOUT)


def script(name: str) -> ModuleType:
    """A script of `edge/native` as a module."""
    sys.path.insert(0, str(NATIVE.resolve()))
    spec = importlib.util.spec_from_file_location(name, NATIVE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{NATIVE / name}.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithDelegate(build_py):
    """Copies the packages, then the delegate's library into `onebit_delegate`."""

    def run(self) -> None:
        """Builds; an editable installation uses the library that `make delegate` builds."""
        if not self.editable_mode:
            # A folder left from an earlier build would bring modules along that are gone by now.
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not HAS_DELEGATE or self.editable_mode:
            return
        build_library = script("build_library")
        try:
            library = build_library.build(TARGET)
        except Exception as error:
            sys.exit(
                f"error: the delegate cannot be built: {error}; install a C++ compiler and CMake, "
                f"or leave the delegate out with {WITHOUT}=1"
            )
        shutil.copy2(library, Path(self.build_lib, "onebit_delegate", build_library.LIBRARY))


class PlatformDistribution(Distribution):
    """A distribution that is native where it holds the library."""

    def has_ext_modules(self) -> bool:
        """Whether files belong into the folder for one platform."""
        return HAS_DELEGATE


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on one platform, since the library is the only native code."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tag, such as py3-none-linux_x86_64."""
        if not HAS_DELEGATE:
            return "py3", "none", "any"
        platform = script("wheels").PLATFORMS[TARGET] if TARGET else super().get_tag()[2]
        return "py3", "none", platform


setup(
    packages=[
        *find_packages(include=["onebit*", "zoo*", "convert*", "edge*"], exclude=["*.build*"]),
        "onebit_delegate",
    ],
    package_dir={"onebit_delegate": str(NATIVE / "python" / "onebit_delegate")},
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithDelegate, "bdist_wheel": PlatformWheel},
)
