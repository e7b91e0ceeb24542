"""The vocabulary to and from JSON; says where a document is wrong, and what would be right.

One reflection over frozen dataclasses instead of a `to_dict` in each. A refusal names the path in the document,
the value, and what would be right:

    >>> decode(int, "seven", at="$.weights[0]")
    Traceback (most recent call last):
    tfcanary.core.errors.Refused: $.weights[0]: 'seven' is not a whole number
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Any

from tfcanary.core.durations import UNITS
from tfcanary.core.errors import Refused

NONE = "none"
"""How a document says that something optional is not asked for; `null` says the same."""
# Argo expands {{...}} and Kubernetes $(...) in the arguments of a container: a value with either would arrive changed.
EXPANDED = ("{{", "$(")
_OPENING = re.compile(r"\{(?=\{)|\$(?=\()")


def decode(kind: Any, value: Any, at: str = "$") -> Any:
    """Turn a plain JSON value into `kind`; raises Refused with the path of the first thing that is wrong."""
    return _decoder(kind)(kind, value, at)


def encode(value: Any) -> Any:
    """Turn a value of the vocabulary into plain JSON values; the inverse of `decode`."""
    if isinstance(value, StrEnum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {document_key(f): encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    return value


def brief(value: Any) -> dict[str, Any]:
    """A dataclass without the fields that are at their defaults, `None` as `none`: KFP takes no null in a parameter. `decode` reads it back."""
    return {document_key(f): _brief(getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != _default(f)}


def _brief(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_brief(one) for one in value]
    return NONE if value is None else brief(value) if is_dataclass(value) else encode(value)


def document_key(one: Field[Any]) -> str:
    """The name of a field in documents: Python's own words, such as `from`, have an underscore as names of fields."""
    return one.name.removesuffix("_")


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def dumps(value: Any) -> str:
    """Canonical JSON: the same value gives the same text. Raises ValueError for NaN and infinities."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def broken(text: str) -> str:
    """The text with whatever Argo and Kubernetes would expand broken apart by a space."""
    return _OPENING.sub(r"\g<0> ", text)


def inert(value: Any) -> Any:
    """A value that `loads` reads back, whatever a person, a step or a model has said in it."""
    text = dumps(value)
    return loads(type(value), broken(text)) if any(mark in text for mark in EXPANDED) else value


def loads(kind: Any, text: str | bytes, at: str = "$") -> Any:
    """Decode a JSON text; raises Refused where it is no JSON or does not fit `kind`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Refused(f"{at}: not JSON ({error})") from error
    return decode(kind, value, at)


def digest(value: Any) -> str:
    """`sha256:` and the hash of the canonical JSON."""
    return "sha256:" + hashlib.sha256(dumps(value).encode()).hexdigest()


def _decoder(kind: Any) -> Callable[[Any, Any, str], Any]:
    if kind is Any or kind is object:
        return lambda _, value, at: value
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _union
    if origin in (tuple, list):
        return _sequence
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        return _mapping
    if is_dataclass(kind):
        return _dataclass
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum
    return _SCALARS[kind]


def _refuse(at: str, value: Any, right: str) -> Refused:
    shown = repr(value)
    return Refused(f"{at}: {shown if len(shown) <= 80 else shown[:77] + '...'} is not {right}")


def _dataclass(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, Mapping):
        raise _refuse(at, value, f"an object with {', '.join(map(document_key, fields(kind)))}")
    if expanded := getattr(kind, "expanded", None):
        value = expanded(value, at, decode)
    known = {document_key(f): f for f in fields(kind)}
    for key in value:
        if key not in known:
            raise Refused(_unknown(at, str(key), list(known)))
    hints = _hints(kind)
    given = {f.name: decode(hints[f.name], value[key], f"{at}.{key}") for key, f in known.items() if key in value}
    if missing := [key for key, f in known.items() if key not in value and _required(f)]:
        raise Refused(f"{at}.{missing[0]}: is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise Refused(f"{at}: {error}") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields; resolved once, for it takes longer than to decode a value."""
    return typing.get_type_hints(kind)


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _unknown(at: str, key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{at}.{key}: unknown key; {hint}"


def _union(kind: Any, value: Any, at: str) -> Any:
    kinds = typing.get_args(kind)
    if type(None) in kinds and (value is None or (value == NONE and not any(map(_has_none, kinds)))):
        return None
    candidates = [k for k in kinds if k is not type(None)]
    for candidate in candidates[:-1]:
        try:
            return decode(candidate, value, at)
        except Refused:
            continue
    return decode(candidates[-1], value, at)


def _has_none(kind: Any) -> bool:
    """Whether `none` is a word of an enumeration, and so does not mean that a value is absent."""
    return isinstance(kind, type) and issubclass(kind, StrEnum) and NONE in {member.value for member in kind}


def _sequence(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _refuse(at, value, "a list")
    kinds = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and len(kinds) > 0 and kinds[-1] is not Ellipsis:
        if len(value) != len(kinds):
            raise _refuse(at, value, f"a list of {len(kinds)}")
        return tuple(decode(k, v, f"{at}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    items = (decode(kinds[0], v, f"{at}[{i}]") for i, v in enumerate(value))
    return tuple(items) if typing.get_origin(kind) is tuple else list(items)


def _mapping(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, Mapping):
        raise _refuse(at, value, "an object")
    name, item = typing.get_args(kind)
    return {decode(name, key, at): decode(item, v, f"{at}.{key}") for key, v in value.items()}


def _enum(kind: Any, value: Any, at: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _refuse(at, value, "one of " + ", ".join(member.value for member in kind)) from None


def _text(_: Any, value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise _refuse(at, value, "a text")
    if any(mark in value for mark in EXPANDED):
        raise _refuse(at, value, "allowed: Argo and Kubernetes would expand '{{' and '$('")
    return value


def _boolean(_: Any, value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise _refuse(at, value, "true or false")
    return value


def _whole(_: Any, value: Any, at: str) -> int:
    # KFP's local runner hands 5 over as 5.0.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value
        or value in (math.inf, -math.inf)
        or int(value) != value
    ):
        raise _refuse(at, value, "a whole number")
    return int(value)


def _number(_: Any, value: Any, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refuse(at, value, "a finite number")
    return float(value)


def _duration(_: Any, value: Any, at: str) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e9:
        return timedelta(seconds=value)
    text = value.strip() if isinstance(value, str) else ""
    unit = text.lstrip("0123456789.")
    try:
        number = float(text[: len(text) - len(unit)])
        return timedelta(seconds=number * UNITS[unit.strip()])
    except (ValueError, KeyError, OverflowError):
        raise _refuse(at, value, "a time such as 30s, 5m or 1h") from None


def _instant(_: Any, value: Any, at: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _refuse(at, value, "a time such as 2026-01-31T12:00:00+00:00") from None


_SCALARS: dict[Any, Callable[[Any, Any, str], Any]] = {
    str: _text,
    bool: _boolean,
    int: _whole,
    float: _number,
    timedelta: _duration,
    datetime: _instant,
}
