import dataclasses
import json
import types
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.results.row import SCHEMA_VERSION, STATUSES, Row
from edge.results.row_json import from_json, to_json


def any_of(kind):
    """A strategy for every value that a field of this type may hold."""
    if typing.get_origin(kind) is types.UnionType:
        inner = next(option for option in typing.get_args(kind) if option is not type(None))
        return st.none() | any_of(inner)
    if typing.get_origin(kind) is tuple:
        return st.lists(any_of(typing.get_args(kind)[0]), max_size=5).map(tuple)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: any_of(hint) for name, hint in hints.items()})
    return {
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(),
        bool: st.booleans(),
    }[kind]


PARTS = {name: any_of(hint) for name, hint in typing.get_type_hints(Row).items()}
ANY_ROW = st.builds(
    Row,
    **PARTS
    | {
        "status": st.sampled_from(STATUSES),
        "reason": st.text(min_size=1),
        "schema_version": st.just(SCHEMA_VERSION),
    },
)


@given(ANY_ROW)
def test_row_round_trips(row):
    line = to_json(row)
    assert "\n" not in line
    assert from_json(line) == row


def test_row_ignores_unknown_fields(make_row):
    content = json.loads(to_json(make_row()))
    content["weather"] = "fine"
    content["host"]["colour"] = {"deep": [1]}
    assert from_json(json.dumps(content)) == make_row()


def test_row_takes_defaults_for_absent_optional_fields(make_row):
    content = json.loads(to_json(make_row()))
    del content["disturbance"], content["model"]["verification"]
    row = from_json(json.dumps(content))
    assert row.disturbance is None
    assert row.model.verification is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("model"), "model is missing"),
        (lambda c: c["model"].pop("sha256"), "model.sha256 is missing"),
        (lambda c: c["setup"].update(threads="1"), "setup.threads is not of type int"),
        (lambda c: c["setup"].update(threads=True), "setup.threads is not of type int"),
        (lambda c: c.update(samples_ns=[1, None]), r"samples_ns\[1\] is not of type int"),
        (lambda c: c.update(samples_ns=3), "samples_ns is not a list"),
        (lambda c: c.update(host=[]), "host is not an object"),
        (lambda c: c.update(status="fine"), "status is 'fine'"),
        (lambda c: c.update(status="failed"), "needs a reason"),
        (lambda c: c.update(schema_version=SCHEMA_VERSION + 1), "update Onebit"),
    ],
)
def test_malformed_row_is_refused_with_the_field(make_row, change, message):
    content = json.loads(to_json(make_row()))
    change(content)
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(content))


def test_not_a_number_is_neither_written_nor_read(make_row):
    row = make_row()
    broken = dataclasses.replace(row, host=dataclasses.replace(row.host, clock_mhz=float("nan")))
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(broken)
    line = to_json(row).replace('"clock_mhz": null', '"clock_mhz": NaN')
    with pytest.raises(ValueError, match="NaN"):
        from_json(line)


def test_rows_of_schema_1_are_read_with_what_they_tell():
    path = Path(__file__).parents[2] / "results" / "demo.jsonl"
    lines = path.read_text().splitlines()
    assert lines
    for line in lines:
        content = json.loads(line)
        row = from_json(line)
        assert row.schema_version == SCHEMA_VERSION
        assert row.samples_ns == tuple(content["samples_ns"])
        if content["schema_version"] == 1:
            assert row.disturbance.before.load_1min == content["disturbance"]["load_before"]
            assert row.disturbance.after.load_1min == content["disturbance"]["load_after"]


def test_disturbance_of_schema_1_keeps_its_temperatures(make_row):
    content = json.loads(to_json(make_row()))
    content["schema_version"] = 1
    content["disturbance"] = {
        "other_cores": 0.5,
        "load_before": 1.0,
        "load_after": 2.0,
        "temperature_before_c": 50.0,
        "temperature_after_c": None,
        "throttled": False,
    }
    found = from_json(json.dumps(content)).disturbance
    assert (found.other_cores, found.throttled) == (0.5, False)
    assert (found.before.load_1min, found.before.temperature_c) == (1.0, 50.0)
    assert (found.after.load_1min, found.after.temperature_c) == (2.0, None)
