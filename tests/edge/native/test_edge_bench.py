"""`edge bench` with the delegate that was built here."""

import dataclasses

from edge import benchmark
from edge.results.row import INVALID, OK
from edge.results.row_json import from_json, to_json
from edge.results.tables import profile_lines
from onebit.delegate import find_delegate


def test_delegate_is_measured_by_default_and_agrees_with_lce(
    onebit_delegate, binary_file, quick_plan
):
    rows = benchmark([binary_file.path], plan=quick_plan)
    assert [row.setup.name for row in rows] == ["lce", "lce:indirect_bgemm", "litert:delegate"]
    assert all(row.status in (OK, INVALID) for row in rows), [row.reason for row in rows]
    # Integer sums are equal; the float outputs are one multiplication and one addition away.
    assert rows[2].parity.max_abs_difference < 1e-5
    assert rows[2].parity.argmax_agreement == 1.0


def test_rows_name_the_delegate_and_its_version(onebit_delegate, binary_file, quick_plan):
    (row,) = benchmark([binary_file.path], runtimes=["litert:delegate"], plan=quick_plan)
    assert row.setup.delegate == f"onebit-delegate {onebit_delegate.__version__}"
    assert row.setup.runtime_version.startswith("ai-edge-litert")


def test_profile_has_the_time_of_each_delegated_op(onebit_delegate, binary_file, quick_plan):
    plan = dataclasses.replace(quick_plan, profile_ops=True)
    rows = benchmark([binary_file.path], runtimes=["lce", "litert:delegate"], plan=plan)
    assert rows[0].profile is None  # LCE's interpreter reports none
    profile = rows[1].profile
    binary = [op for op in profile.ops if op.op.startswith("LceBconv2d")]
    assert binary
    assert all(op.kernel.startswith("b1_bconv") and op.macs > 0 for op in binary)
    timed = sum(op.time_ns for op in profile.ops if op.time_ns is not None)
    assert 0 < timed < profile.total_ns
    lines = profile_lines(profile)
    assert [line["op"] for line in lines] == [*(op.op for op in profile.ops), "everything else"]
    assert from_json(to_json(rows[1])) == rows[1]


def test_memory_includes_the_delegates(onebit_delegate, binary_file, quick_plan):
    rows = benchmark([binary_file.path], runtimes=["lce", "litert:delegate"], plan=quick_plan)
    assert rows[0].memory.delegate_constant_bytes is None
    memory = rows[1].memory
    # 3 x 3 x 32 x 32 filter bits, beside thresholds or multipliers; more than ten times is a leak.
    assert 3 * 3 * 32 * 32 // 8 <= memory.delegate_constant_bytes < 10 * 3 * 3 * 32 * 32 // 8
    # The arena holds at least the bits of the 8 x 8 x 32 input.
    assert 8 * 8 * 32 // 8 <= memory.delegate_arena_bytes < 1e6
    assert rows[1].profile is None


def test_library_is_found_in_the_checkout(onebit_delegate):
    delegate = find_delegate()
    assert delegate is not None
    assert delegate.library == onebit_delegate.library_path()
