import dataclasses

import pytest

from edge.report.headline import float_baseline, headline
from edge.results import units
from edge.results.tables import bench_line, distinctly_named, flat, latest, typical


def model(make_row, name, **changes):
    return make_row(name=name, **changes).model


@pytest.mark.parametrize(
    ("name", "others", "baseline"),
    [
        ("binary_net_mlp", ["float_mlp", "float_cnn"], "float_mlp"),
        ("binary_connect_mlp_mnist_5k", ["float_mlp", "float_mlp_mnist_5k"], "float_mlp_mnist_5k"),
        ("binary_net_mlp", ["float_mlp_mnist_5k", "mlp", "float"], None),
        ("float_mlp", ["float_mlp"], None),
    ],
)
def test_float_baseline_is_found_by_name(make_row, name, others, baseline):
    found = float_baseline(model(make_row, name), [model(make_row, other) for other in others])
    assert (found and found.name) == baseline


def test_float_baseline_has_as_many_multiplications(make_row):
    binary = model(make_row, "binary_net_mlp", binary_macs=900, float_macs=100)
    same = model(make_row, "float_mlp", binary_macs=0, float_macs=1010)
    larger = model(make_row, "float_mlp", binary_macs=0, float_macs=1100)
    unknown = model(make_row, "float_mlp", binary_macs=None, float_macs=None)
    assert float_baseline(binary, [same]) is same
    assert float_baseline(binary, [larger]) is None
    assert float_baseline(binary, [unknown]) is unknown


def test_headline_puts_figures_of_report_and_run_together(make_row, failed):
    baseline = {"binary_macs": 0, "float_macs": 2_800_000}
    rows = [
        make_row(),
        make_row(name="float_mlp", setup="litert", size_bytes=11_660_000, **baseline),
        failed("skipped", "no such op", setup="litert"),
        failed(setup="lce:xnnpack"),
    ]
    binary, float_, broken = headline(rows)
    assert (binary.model, binary.setup, binary.status) == ("binary_net_mlp", "lce", "ok")
    assert (binary.accuracy_keras, binary.accuracy_file) == (0.945, 0.945)
    assert binary.compression == 11_600_000 / 400_000
    assert (binary.float_baseline, binary.compression_baseline) == (
        "float_mlp",
        11_660_000 / 400_000,
    )
    assert binary.p50_ns == rows[0].summary.p50_ns
    assert binary.p90_ns == rows[0].summary.p90_ns
    assert binary.memory_bytes == 10_000_000
    assert (float_.float_baseline, float_.compression_baseline) == (None, None)
    assert (broken.status, broken.p50_ns, broken.memory_bytes) == ("failed", None, None)
    assert broken.cells()["p50"] is None


def test_headline_of_a_model_without_report_has_gaps(make_row):
    row = make_row(accuracy=None)
    bare = dataclasses.replace(row, model=dataclasses.replace(row.model, float32_bytes=None))
    (line,) = headline([bare])
    assert line.accuracy_keras is line.accuracy_file is line.compression is None


def test_latest_row_of_each_cell_counts(make_row):
    rows = [make_row(median_ns=1), make_row(threads=2), make_row(median_ns=9)]
    assert latest(rows) == [rows[2], rows[1]]
    elsewhere = make_row(cpu="Cortex-A76")
    assert latest([*rows, elsewhere]) == [rows[2], rows[1], elsewhere]


def test_models_of_one_name_are_distinguished_by_their_files(make_row):
    def at(path, **changes):
        row = make_row(**changes)
        return dataclasses.replace(row, model=dataclasses.replace(row.model, file=path))

    rows = [at("a/x.tflite"), at("b/x.tflite"), at("a/y.tflite"), at("z", name="other")]
    assert [row.model.name for row in distinctly_named(rows)] == [
        "binary_net_mlp (a/x.tflite)",
        "binary_net_mlp (b/x.tflite)",
        "binary_net_mlp (y.tflite)",
        "other",
    ]
    assert distinctly_named(rows[2:]) == rows[2:]
    baseline = model(make_row, "float_mlp", binary_macs=0, float_macs=2_800_000)
    assert float_baseline(distinctly_named(rows)[0].model, [baseline]) is baseline


def test_repeated_cell_is_one_line_with_the_middle_of_its_trusted_rows(make_row):
    rows = [make_row(median_ns=median) for median in (500, 300, 400, 200)]
    rows.append(dataclasses.replace(make_row(median_ns=100), status="invalid", reason="loud"))
    lost = dataclasses.replace(make_row(threads=2), status="invalid", reason="loud")
    assert typical([*rows, lost]) == [(rows[1], "4 of 5"), (lost, "0 of 1")]


def test_flat_row_has_every_field_but_samples_at_one_level(make_row, failed):
    record = flat(make_row(threads=2))
    assert record["setup.threads"] == 2
    assert record["model.verification.accuracy_file"] == 0.945
    assert record["summary.p50_ns"] > 0
    assert "samples_ns" not in record
    # CSV needs the same columns for rows without figures.
    assert list(flat(failed())) == list(record)
    assert flat(failed())["summary.p50_ns"] is None


def test_bench_line_of_a_failure_has_no_figures(failed):
    line = bench_line(failed())
    assert line["status"] == "failed"
    assert line["p50"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (9.996, "10.0"), (99.96, "100"), (1234, "1234")],
)
def test_three_significant_digits(value, text):
    assert units.significant(value) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_999, "1.00 MB"),
        (11_660_000, "11.7 MB"),
        (5e12, "5000 GB"),
    ],
)
def test_sizes_are_decimal(size_bytes, text):
    assert units.size(size_bytes) == text
