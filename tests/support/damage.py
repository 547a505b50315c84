"""Damaged files."""

import numpy as np


def scrambled(content, copies, *, seed, start=0):
    """Copies of a file, each with one to four random bytes at random places from `start` on."""
    random = np.random.default_rng(seed)
    for _ in range(copies):
        damaged = bytearray(content)
        for place in random.integers(start, len(content), random.integers(1, 5)):
            damaged[place] = random.integers(256)
        yield bytes(damaged)
