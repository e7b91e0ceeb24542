"""The fields of a plan as tables, read off the types: what the field is stands beneath it in `tfcanary/core/plan/`, and nowhere else."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from docs.markdown import anchor, cell, table
from tfcanary.core import codec
from tfcanary.core.plan import Plan

WORDS = {str: "text", bool: "`true` or `false`", int: "whole number", float: "number", timedelta: "time", object: "anything"}
PLURALS = {str: "texts", int: "whole numbers", float: "numbers", object: "anything"}
NAMED, LISTED = ".<name>", "[]"
WHAT = {"": "[part]", NAMED: "[parts by name]", LISTED: "[list of parts]"}
CONSTANT = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b|\b[A-Z]{5,}\b")
DOCUMENT = re.compile(r"\bdocs/([a-z]+\.md)\b")
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the plan: a dataclass, and where it stands in the document."""

    path: str
    kind: type
    meaning: str
    """What the field that leads here says of itself; empty where it says nothing."""
    default: str


def reference() -> str:
    """A section for each part: what it is, its fields, and the words that a field may have."""
    return "\n".join(_section(part) for part in parts(Plan, "", "", "on"))


def parts(kind: type, path: str, meaning: str, default: str) -> Iterator[Part]:
    """The part, then those within it, in the order of the fields."""
    yield Part(path, kind, meaning, default)
    said = docstrings(kind)
    hints = typing.get_type_hints(kind)
    for one in fields(kind):
        inner, several = leads_to(hints[one.name])
        if inner is not None:
            yield from parts(inner, _below(path, codec.document_key(one), several), said.get(one.name, ""), _on(one))


def docstrings(kind: type) -> dict[str, str]:
    """The text beneath each field of a class, or member of an enumeration."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for above, below in zip(body.body, body.body[1:], strict=False):
        target = above.target if isinstance(above, ast.AnnAssign) else above.targets[0] if isinstance(above, ast.Assign) else None
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[target.id] = readable(inspect.cleandoc(str(below.value.value)), kind)
    return found


def shown_default(kind: type, name: str) -> str:
    """A field's default as one writes it."""
    return _literal(_default(next(one for one in fields(kind) if one.name == name)))


def readable(said: str, kind: type) -> str:
    """With the value of each constant that it names, and links in place of the documents' names."""
    known = vars(sys.modules[kind.__module__])
    said = CONSTANT.sub(lambda name: str(known.get(name.group(), name.group())), said)
    return DOCUMENT.sub(r"[\1](\1)", said)


def _section(part: Part) -> str:
    said = docstrings(part.kind)
    hints = typing.get_type_hints(part.kind)
    heading = f"### `{part.path}`" if part.path else "### The plan itself"
    rows = [_row(part, one, hints[one.name], said.get(one.name, "")) for one in fields(part.kind)]
    about = [cell(_about(part.kind))] if part.path else []
    if part.default == "off":
        about.append("Off by default.")
    if part.meaning:
        about.append(cell(_meaning(part.meaning)))
    words = [line for one in fields(part.kind) for line in _words(one.name, _enum(hints[one.name]))]
    lines = (heading, "", *((" ".join(about), "") if about else ()), table(("field", "value", "default", "what it is"), rows), *words)
    return "\n".join(lines)


def _row(part: Part, one: Field[Any], kind: Any, said: str) -> tuple[str, ...]:
    inner, several = leads_to(kind)
    if inner is not None:
        value = f"{WHAT[several]}(#{anchor(_below(part.path, codec.document_key(one), several))})"
        return (f"`{codec.document_key(one)}`", value, _on(one), cell(_about(inner)))
    return (f"`{codec.document_key(one)}`", _kind(kind), _shown(one), cell(_meaning(said) or _about(_enum(kind))))


def _about(kind: type | None) -> str:
    return readable(inspect.getdoc(kind) or "", kind) if kind else ""


def _meaning(said: str) -> str:
    """A document says `none` where Python says None."""
    return "`none`:" + said.removeprefix("None:") if said.startswith("None:") else said


def _words(name: str, kind: type[StrEnum] | None) -> list[str]:
    said = docstrings(kind) if kind else {}
    return [f"* `{name}: {kind[word].value}`: {cell(text)}" for word, text in said.items() if kind] + ([""] if said else [])


def _enum(kind: Any) -> type[StrEnum] | None:
    if typing.get_origin(kind) is tuple:
        return _enum(typing.get_args(kind)[0])
    return kind if isinstance(kind, type) and issubclass(kind, StrEnum) else None


def leads_to(kind: Any) -> tuple[type | None, str]:
    """The dataclass that a field leads to, if any, and what stands behind the field's name where there may be several: NAMED or LISTED."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return next((found for one in inner if (found := leads_to(one))[0]), (None, ""))
    if origin is tuple:
        return _part(inner[0]), LISTED
    if origin is not None and issubclass(origin, Mapping):
        return _part(inner[1]), NAMED
    return _part(kind), ""


def _part(kind: Any) -> type | None:
    return kind if isinstance(kind, type) and is_dataclass(kind) else None


def _below(path: str, name: str, several: str) -> str:
    return f"{path}.{name}".lstrip(".") + several


def _on(one: Field[Any]) -> str:
    """Whether a part that is left out is there."""
    return "off" if _default(one) in (None, ()) else "on"


def _kind(kind: Any) -> str:
    """What may stand there, in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        kinds = [_kind(one) for one in inner if one is not type(None)]
        absent = type(None) in inner and not any(f"`{codec.NONE}`" in one for one in kinds)
        return ", or ".join((*kinds, f"`{codec.NONE}`") if absent else kinds)
    if origin is tuple:
        return f"list of {PLURALS[inner[0]] if inner[0] in PLURALS else _kind(inner[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"names to {PLURALS[inner[1]]}"
    if members := _enum(kind):
        return ", ".join(f"`{one.value}`" for one in members)
    return WORDS[kind]


def _shown(one: Field[Any]) -> str:
    default = _default(one)
    if default is MISSING:
        return "**required**"
    return f"`{_literal(default)}`"


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _literal(value: Any) -> str:
    """As one writes it in a plan."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        unit, length = next(((u, n) for u, n in UNITS if seconds >= n and seconds % n == 0), ("s", 1))
        return f"{seconds / length:g}{unit}"
    if value is None:
        return codec.NONE
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(one) for one in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value or '""'
    return "{}" if value == {} else f"{value:g}"
