"""Markup that cannot be injected into: data enters as `str` and is escaped, only what `element` built is taken as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tfcanary.report.plots.text import visible

# Each begins a line of the document, so that a person can read it and a comparison shows what changed; no browser shows the difference.
_LINES = frozenset({"head", "body", "main", "section", "header", "div", "dl", "table", "tr", "p", "h2", "h3", "details"})
# Without children, these are written `<rect/>`, which is both HTML and XML. Every other element is closed by name.
_EMPTY = frozenset({"meta", "wbr", "col", "rect", "line", "circle", "path", "polyline", "polygon"})


@dataclass(frozen=True, slots=True)
class Markup:
    """Finished markup: well-formed, with all data in it escaped."""

    text: str


Child = Markup | str


def element(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`; `class_` becomes `class`, `stroke_width` `stroke-width`; None leaves an attribute out."""
    written = "".join(f' {_key(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in _EMPTY and not children:
        return Markup(f"<{name}{written}/>")
    line = "\n" if name in _LINES else ""
    return Markup(f"{line}<{name}{written}>{join(children).text}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """One after the other."""
    return Markup("".join(child.text if isinstance(child, Markup) else _escape(child) for child in children))


def picture(title: str, description: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """An `<svg>` that says in words what it shows."""
    return element("svg", element("title", title), element("desc", description), *children, role="img", **attributes)


def code(text: str, **attributes: str | float | None) -> Markup:
    """An id or a path, which may break into lines after its slashes and dots."""
    pieces = [piece for piece in re.split(r"(?<=[/.])", visible(text)) if piece]
    broken = [part for piece in pieces for part in (element("wbr"), piece)][1:]
    return element("code", *broken, **attributes)


def percent(position: float) -> str:
    """A position between 0 and 1 as a coordinate of a picture that grows with the page."""
    return f"{number(100 * position)}%"


def number(value: float) -> str:
    """A coordinate with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _escape(text: str) -> str:
    return html.escape(visible(text), quote=True)


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return _escape(value) if isinstance(value, str) else number(value)
