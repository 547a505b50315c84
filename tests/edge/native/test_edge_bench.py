"""`edge bench` with the delegate that was built here."""

from edge import benchmark
from edge.delegate import find_delegate
from edge.rows import INVALID, OK


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


def test_library_is_found_in_the_checkout(onebit_delegate):
    delegate = find_delegate()
    assert delegate is not None
    assert delegate.library == onebit_delegate.library_path()
