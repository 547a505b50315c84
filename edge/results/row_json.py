"""Rows as lines of JSON, and back; reads rows of older versions."""

import dataclasses
import functools
import json
import types
import typing
from typing import Any

from edge.results.row import SCHEMA_VERSION, Row
from onebit.secrets import without_passwords


def to_json(row: Row) -> str:
    """The row as one line of JSON.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(dataclasses.asdict(row), allow_nan=False)


def from_json(line: str) -> Row:
    """The row that a line of JSON holds; fields that this version does not know are ignored.

    Raises:
        ValueError: The line is not JSON, a field is missing or of the wrong kind, or the row was
            written by a newer schema than `SCHEMA_VERSION`.
    """
    try:
        content = json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError("it is not JSON") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(
            f"it has schema_version {version} and this Onebit reads up to {SCHEMA_VERSION}; "
            "update Onebit"
        )
    if version == 1:
        content = _upgraded_from_1(content)
    row: Row = _decode(Row, content, "row")
    # Version 0.1.0 took passwords in addresses and recorded them.
    return dataclasses.replace(
        row,
        run=dataclasses.replace(row.run, command=without_passwords(row.run.command)),
        host=dataclasses.replace(row.host, device=without_passwords(row.host.device)),
        reason=row.reason and without_passwords(row.reason),
    )


def _upgraded_from_1(content: dict[str, Any]) -> dict[str, Any]:
    """A row of schema 1 as one of schema 2."""
    disturbance = content.get("disturbance")
    if isinstance(disturbance, dict):
        moments = {
            moment: {
                "load_1min": disturbance.get(f"load_{moment}"),
                "temperature_c": disturbance.get(f"temperature_{moment}_c"),
            }
            for moment in ("before", "after")
        }
        content = content | {"disturbance": disturbance | moments}
    return content | {"schema_version": 2}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that a row may hold")


@functools.cache
def _field_types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any, where: str) -> Any:
    """`value` from JSON as a `kind`: dataclass, tuple, optional or plain type."""
    if typing.get_origin(kind) is types.UnionType:  # always `X | None` here
        inner = next(option for option in typing.get_args(kind) if option is not types.NoneType)
        return None if value is None else _decode(inner, value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} is not a list")
        element = typing.get_args(kind)[0]
        return tuple(_decode(element, item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{where} is not of type {kind.__name__}")
    return value


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    hints, known = _field_types(kind), {}
    for field in dataclasses.fields(kind):
        path = f"{where}.{field.name}".removeprefix("row.")
        if field.name in value:
            known[field.name] = _decode(hints[field.name], value[field.name], path)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path} is missing")
    return kind(**known)
