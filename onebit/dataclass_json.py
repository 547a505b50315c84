"""Dataclasses from JSON, also from what older versions wrote.

`dataclasses.asdict` writes them; `decode` reads them back. Fields that are unknown are ignored, and
fields that were renamed are found under their old names.
"""

import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

Retired = Mapping[str, str]
"""Old name of a field → its present name."""


def decode(kind: Any, value: Any, where: str, retired: Retired | None = None) -> Any:
    """A value from JSON as a `kind`: dataclass, list, dict, optional, literal, enum or plain type.

    Args:
        kind: The type to read.
        value: What JSON holds.
        where: What errors call it, such as `report`.
        retired: Names that fields of any dataclass in it had before.

    Raises:
        ValueError: A field is missing or of another type; the message names it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):  # always `X | None`
        inner = next(option for option in arguments if option is not types.NoneType)
        return None if value is None else decode(inner, value, where, retired)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{where} is none of {', '.join(map(repr, arguments))}")
        return value
    if origin is list:
        items = _of_type(value, list, where)
        return [decode(arguments[0], v, f"{where}[{i}]", retired) for i, v in enumerate(items)]
    if origin is dict:
        entries = _of_type(value, dict, where)
        return {k: decode(arguments[1], v, f"{where}.{k}", retired) for k, v in entries.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, _of_type(value, dict, where), where, retired or {})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    return _of_type(value, kind, where)


def as_json(value: Any) -> Any:
    """`value`, with its dataclasses, as reading it back from JSON gives it.

    Raises:
        ValueError: A number in it is not finite.
    """
    return json.loads(json.dumps(value, allow_nan=False, default=dataclasses.asdict))


def _of_type(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{where} is not of type {kind.__name__}")
    return value


@functools.cache
def _field_types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode_dataclass(kind: Any, value: dict[str, Any], where: str, retired: Retired) -> Any:
    content = {retired.get(name, name): item for name, item in value.items()} | value
    hints, known = _field_types(kind), {}
    for field in dataclasses.fields(kind):
        path = f"{where}.{field.name}"
        if field.name in content:
            known[field.name] = decode(hints[field.name], content[field.name], path, retired)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path} is missing")
    return kind(**known)
