"""Remedies for rows that are not trusted; they follow from the rows' figures."""

from collections.abc import Sequence

from edge.results.row import FAILED, INVALID, SKIPPED, Row
from edge.results.tables import timed

BUSY_CORES = 0.15
"""Of other processes, beyond which they are worth looking for."""

STOLEN_CORES = 0.05


def advice(rows: Sequence[Row]) -> list[str]:
    """Sentences for the reader, the nearest remedy first; none where all rows are trusted."""
    found = []
    disturbed = [row for row in timed(rows) if row.status == INVALID]
    readings = [row.disturbance for row in disturbed if row.disturbance]
    if any((each.other_cores or 0) > BUSY_CORES for each in readings):
        found.append("End the programs that keep cores busy: `top` on the device lists them.")
    if any((each.stolen_cores or 0) > STOLEN_CORES for each in readings):
        found.append(
            "Other virtual machines took processor time: measure at another hour, or on a machine "
            "of your own."
        )
    if any(each.throttled for each in readings):
        found.append("Cool the device, and use the power supply that it asks for.")
    if disturbed:
        found.append(
            "Measure again with `--retry-invalid 3`; `onebit edge doctor DEVICE` looks for causes."
        )
        found.append(
            "Where the noise stays, as on shared runners, measure versions in turn (`-r 5`) and "
            "compare pairs (`onebit edge compare --with-invalid`), or count `--instructions`, "
            "which noise doesn't move."
        )
    if any(_wrong(row) for row in rows):
        found.append(
            "Where answers are wrong, compare the file with its source: `onebit convert verify`."
        )
    if any(row.host.emulated for row in rows):
        found.append("Measure times on a real device: an emulated one shows agreement only.")
    if any(row.status == FAILED for row in rows):
        found.append("Run what failed again, once its cause is gone, with `--resume`.")
    if any(row.status == SKIPPED for row in rows):
        found.append("Skipped cells need nothing where another backend ran their files.")
    return found


def _wrong(row: Row) -> bool:
    """Whether a row that is not trusted got fewer samples right than the host."""
    e = row.evaluation
    if e is None or e.accuracy is None or e.reference_accuracy is None:
        return False
    return row.status == INVALID and e.accuracy < e.reference_accuracy
