"""Builds HTML and SVG without injection: a `str` is always escaped, and only `Markup` that `element` built is inserted unchanged."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tfcanary.report.plots.text import visible

# Each of these begins on a new line, so that people can read the document and a comparison shows the change; browsers ignore it.
_LINES = frozenset({"head", "body", "main", "section", "header", "div", "dl", "table", "tr", "p", "h2", "h3", "details"})
# Without children these are written `<rect/>`, which is valid in HTML and in XML. Every other element has a closing tag.
_EMPTY = frozenset({"meta", "wbr", "col", "rect", "line", "circle", "path", "polyline", "polygon"})


@dataclass(frozen=True, slots=True)
class Markup:
    """Well-formed markup in which all data is escaped."""

    text: str


Child = Markup | str


def element(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Return `<name attributes>children</name>`; `class_` becomes `class`, `stroke_width` becomes `stroke-width`, and None omits an attribute."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{_escape(value) if isinstance(value, str) else number(value)}"' for key, value in pairs)
    if name in _EMPTY and not children:
        return Markup(f"<{name}{written}/>")
    line = "\n" if name in _LINES else ""
    return Markup(f"{line}<{name}{written}>{join(children).text}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Return the children one after the other; texts are escaped."""
    return Markup("".join(child.text if isinstance(child, Markup) else _escape(child) for child in children))


def picture(title: str, description: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Return an `<svg>` with a title and a description that says the content in words, for screen readers."""
    return element("svg", element("title", title), element("desc", description), *children, role="img", **attributes)


def code(text: str, **attributes: str | float | None) -> Markup:
    """Return a `<code>` element with an id or a path, which may break into lines after slashes and dots."""
    pieces = [piece for piece in re.split(r"(?<=[/.])", visible(text)) if piece]
    with_breaks = [part for piece in pieces for part in (element("wbr"), piece)][1:]
    return element("code", *with_breaks, **attributes)


def percent(position: float) -> str:
    """Return a position between 0 and 1 as a coordinate in percent of the picture's width or height."""
    return f"{number(100 * position)}%"


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _escape(text: str) -> str:
    return html.escape(visible(text), quote=True)
