"""Programs that measure and write the rows in `results/`, one file each.

They run from the root of a checkout, in its environment: `python -m benchmarks.delegate --help`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
RUNS = ROOT / "runs"
"""Where trained models and intermediate files are kept between calls."""


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Adds a row to a file of results."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
