"""Programs that measure and write the rows in `results/`, one file each.

They run from the root of a checkout, in its environment: `python -m benchmarks.delegate --help`.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
RUNS = ROOT / "runs"
"""Where trained models and intermediate files are kept between calls."""
