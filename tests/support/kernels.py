"""The delegate's kernels, read from their list in the sources: no library is needed."""

import runpy
from pathlib import Path

_TABLE = Path(__file__).parents[2] / "edge" / "native" / "kernel_table.py"
KERNELS = runpy.run_path(str(_TABLE))["kernels"]()


def around(sizes: list[int]) -> list[int]:
    """Each size, one less and one more, and its double with one more; sorted, each once."""
    found = {1}
    for size in sizes:
        found |= {size - 1, size, size + 1, 2 * size + 1}
    return sorted(found - {0})
