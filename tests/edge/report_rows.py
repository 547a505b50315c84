"""Rows that show all that a report can show."""

import dataclasses
import re

import pytest

from edge.bench import measurement
from edge.results.row import (
    Cluster,
    Conditions,
    Disturbance,
    Energy,
    Evaluation,
    Host,
    Memory,
    OpTime,
    Profile,
)

BASELINE = {
    "name": "float_mlp",
    "size_bytes": 11_660_000,
    "binary_macs": 0,
    "float_macs": 2_800_000,
}


@pytest.fixture
def some_rows(make_row, failed):
    """Every kind of row, on an x86 host."""
    x86 = {"cpu": "Xeon", "architecture": "x86_64"}
    return [
        make_row(**x86),
        make_row(setup="lce:indirect_bgemm", median_ns=300_000, **x86),
        make_row(setup="litert", accuracy=0.947, median_ns=600_000, **BASELINE, **x86),
        make_row(
            name="binary_connect_mlp",
            status="invalid",
            reason="p90 was 83% above the median (limit 50%)",
            **x86,
        ),
        failed(setup="lce:xnnpack", **x86),
        failed("skipped", "the file has ops that litert lacks", setup="litert", **x86),
    ]


PI = Host(
    "kitchen",
    "ssh",
    cpu="Cortex-A76",
    board="Raspberry Pi 5",
    architecture="aarch64",
    cores=4,
    clusters=(
        Cluster((2, 3), 1024, 2400.0, "Cortex-A76"),
        Cluster((0, 1), 400, 1800.0, "Cortex-A55"),
    ),
    governor="ondemand",
    emulated=False,
)
BOARD = dataclasses.replace(PI, device="board", kind="adb", emulated=True, clusters=())


@pytest.fixture
def full_row(make_row):
    """A row with every field that a board can fill."""
    row = make_row(setup="litert:delegate", name="binary_net_mlp")
    moments = (
        Conditions(0.25, 48.0, 2400.0, "ondemand"),
        Conditions(0.5, 61.0, 2100.0, "ondemand"),
    )
    ops = tuple(OpTime(i, "LceBconv2d", "b1_bconv", 1000, 1000.0 * (i + 1)) for i in range(20))
    return dataclasses.replace(
        row,
        host=PI,
        setup=dataclasses.replace(
            row.setup, threads=3, affinity="big", cpus=(2, 3), mode="single-stream"
        ),
        summary=measurement.summarise(
            row.samples_ns, inferences=1600, every=8, elapsed_ns=4 * 10**9
        ),
        memory=Memory(40_000_000, 50_000_000, 10_000_000, None, None, 8192, 397_392),
        evaluation=Evaluation(
            "digits", "sha", 1000, "test", 0.951, "lce on the host", 0.965, 0.98, 0.5
        ),
        disturbance=Disturbance(0.05, 0.0, 0.6, True, *moments),
        energy=Energy("pi-pmic", 8.0, 2.0, 1000, 0.008, 2.5),
        profile=Profile(100, 230_000.0, (*ops, OpTime(20, "SOFTMAX"))),
    )


def emulated(row):
    reason = measurement.why_invalid(row.samples_ns, row.disturbance, 1, BOARD)
    return dataclasses.replace(row, host=BOARD, status="invalid", reason=reason)


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())
