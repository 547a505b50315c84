"""The parts of the emulated userlands: Debian's packages, and wheels pinned by their hashes."""

from dataclasses import dataclass, field

# A board with Python and NumPy, an ssh server, and what a shell on it is expected to have.
BOARD_PACKAGES = (
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "libstdc++6",
    "openssh-server",
    "openssh-sftp-server",
    "procps",
    "python3",
    "python3-numpy",
    "python3-venv",
    "sed",
    "tar",
)
# Requirements in the form of pip's, with the SHA-256 of the wheel.
_SHARED = {
    "backports-strenum==1.2.8": "fc297cb26971f7d5e15a478a06a78575197f81daea47975771b1aae996dcccf4",
    "flatbuffers==25.12.19": "7634f50c427838bb021c2d66a3d1168e9d199b0607e6329399f04846d42e20b4",
    "tqdm==4.70.1": "c293e525e6fef9c20e8728fd4612df02a0aa31bb5fe91ecd93e123b1b7bffa73",
    "typing-extensions==4.16.0": "481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8",
}
_TFLITE = "tflite-runtime==2.14.0"
AARCH64_RUNTIMES = {
    "tflite-runtime-2.14": {
        _TFLITE: "ce9fa5d770a9725c746dcbf6f59f3178233b3759f09982e8b2db8d2234c333b0",
    },
    "ai-edge-litert-1.4": _SHARED
    | {
        "ai-edge-litert==1.4.0": "131d1c12dedc0c45aa683106d71ea895117c2332b0efb52712965f8b5e63781d",
    },
    "ai-edge-litert-2.3": _SHARED
    | {
        "ai-edge-litert==2.3.0": "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
        "ml-dtypes==0.5.4": "bc11d7e8c44a65115d05e2ab9989d1e045125d7be8e05a071a48bc76eb6d6040",
        "protobuf==7.36.2": "e11e1f0180583a2af89db6a2ecd9e8dc40aa6d2988ca175bfd0e6d12ea72d74e",
    },
}
ARMV7_RUNTIMES = {
    "tflite-runtime-2.14": {
        _TFLITE: "c4e66a74165b18089c86788400af19fa551768ac782d231a9beae2f6434f7949",
    },
}


@dataclass(frozen=True)
class Recipe:
    """A folder of unpacked packages.

    Attributes:
        name: The first part of the folder's name.
        architecture: Debian's name of the architecture.
        suite: Debian's release.
        packages: The packages that are unpacked, with all that they depend on.
        python: The version of its Python, for wheels.
        wheel_platforms: The platform tags of the wheels, as pip has them.
        runtimes: Folders below /opt/runtimes, each with wheels and nothing else.
    """

    name: str
    architecture: str
    suite: str
    packages: tuple[str, ...]
    python: str = "3.11"
    wheel_platforms: tuple[str, ...] = ()
    runtimes: dict[str, dict[str, str]] = field(default_factory=dict)


def _manylinux(machine: str) -> tuple[str, ...]:
    return tuple(f"manylinux{glibc}_{machine}" for glibc in ("2014", "_2_17", "_2_27", "_2_34"))


AARCH64 = Recipe(
    "aarch64", "arm64", "bookworm", BOARD_PACKAGES, "3.11", _manylinux("aarch64"), AARCH64_RUNTIMES
)
ARMV7 = Recipe(
    "armv7", "armhf", "bookworm", BOARD_PACKAGES, "3.11", _manylinux("armv7l"), ARMV7_RUNTIMES
)
# Debian has adbd from trixie on. It runs natively, with its own loader and libraries.
ADBD = Recipe("adbd", "amd64", "trixie", ("adbd",))
# Emulators that load plugins, which the static ones cannot.
QEMU = Recipe("qemu", "amd64", "bookworm", ("qemu-user",))
