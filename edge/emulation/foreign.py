"""Programs of this machine's kind, from Debian's packages, that run within a userland."""

import shutil
from pathlib import Path

LIBRARIES = "usr/lib/x86_64-linux-gnu"
PATTERNS = (
    *(f"{LIBRARIES}/*.so*", f"{LIBRARIES}/android/*.so*", "lib/x86_64-linux-gnu/*.so*"),
    "usr/lib64/ld-*.so*",
)
LOADER = "ld-linux-x86-64.so.2"


def install(packages: Path, program: str, folder: Path, inside: str) -> list[str]:
    """Copies a program with its loader and libraries into a folder; returns how to start it.

    Args:
        packages: What `userland.build` unpacked.
        program: The program's path there.
        folder: A new folder.
        inside: The folder's path in the userland.
    """
    folder.mkdir()
    # Links are resolved, as they would lead elsewhere in the userland.
    for pattern in PATTERNS:
        for library in packages.glob(pattern):
            if library.is_file():
                shutil.copy(library, folder)
    shutil.copy(packages / program, folder)
    name = Path(program).name
    return [f"{inside}/{LOADER}", "--library-path", inside, "--argv0", name, f"{inside}/{name}"]
