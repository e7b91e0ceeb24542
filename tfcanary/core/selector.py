"""One PromQL selector, read strictly: the name of a metric and matchers of its labels, nothing else.

A selector of the user's becomes part of a larger question. It is taken apart here and put together anew there, so that
no text of the user's is ever pasted into a question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 300
"""Characters of a selector: sixteen of them travel in one address."""
EXAMPLE = 'my_fallbacks_total{job="serving"}'

_SPACE = r"[ \t\n]*"
_LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
_QUOTED = r""""(?:[^"\\]|\\["\\])*"|'(?:[^'\\]|\\['\\])*'"""
_MATCHER = rf"{_SPACE}({_LABEL}){_SPACE}(=~|!~|!=|=){_SPACE}({_QUOTED}){_SPACE}"
MATCHER = re.compile(_MATCHER)
SELECTOR = re.compile(
    rf"{_SPACE}([a-zA-Z_:][a-zA-Z0-9_:]*){_SPACE}(?:\{{((?:{_MATCHER}(?:,{_MATCHER})*,?)?{_SPACE})\}}{_SPACE})?",
)
ESCAPE = re.compile(r"\\(.)")
NUMBERS = ("nan", "inf")
"""What Prometheus reads as a number, not as a name."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a label must be like."""

    label: str
    operator: str
    """One of = != =~ !~."""
    value: str
    """Without quotes and escapes."""


@dataclass(frozen=True, slots=True)
class Selector:
    """The series of one metric."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


def parse(text: str) -> Selector:
    """Read a selector; raises ValueError where the text is anything else."""
    found = SELECTOR.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or found[1].lower() in NUMBERS:
        raise ValueError(_right(text))
    matchers = tuple(Matcher(label, operator, _value(quoted)) for label, operator, quoted in MATCHER.findall(found[2] or ""))
    if not all(one.label != "__name__" and one.value.isprintable() for one in matchers):
        raise ValueError(_right(text))
    return Selector(found[1], matchers)


def _value(quoted: str) -> str:
    return ESCAPE.sub(r"\1", quoted[1:-1])


def _right(text: str) -> str:
    shown = repr(text) if len(text) <= 80 else f"{text[:77]!r}..."
    return f"{shown}: must be one selector of a raw counter, its name and matchers of labels, without functions, for example {EXAMPLE}"
