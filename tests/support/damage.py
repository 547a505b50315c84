"""Damaged files."""

import io
import zipfile

import numpy as np


def scrambled(content, copies, *, seed, start=0):
    """Copies of a file, each with one to four random bytes at random places from `start` on."""
    random = np.random.default_rng(seed)
    for _ in range(copies):
        damaged = bytearray(content)
        for place in random.integers(start, len(content), random.integers(1, 5)):
            damaged[place] = random.integers(256)
        yield bytes(damaged)


def boastful_npz(path):
    """Writes an `.npz` file with an array `x` whose header claims 10^14 values."""
    header = io.BytesIO()
    claims = {"descr": "<f8", "fortran_order": False, "shape": (10**14,)}
    np.lib.format.write_array_header_1_0(header, claims)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
