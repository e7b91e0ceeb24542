"""The texts of the queries to Prometheus, and the insertion of labels into them.

`$model` stands for the labels of this model's series, `$server` for those of its servers. A model's name or a plan's selector is quoted
by PromQL's rules, so that it remains one value whatever it contains; a text that becomes part of a pattern is escaped first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from tfcanary.core.errors import Refused

TEXTS = {
    # Raw and cumulative, never a rate: increments are computed for each server, where a restart is visible. One query for
    # all of them, since a scrape might fall between two. Only the three verbs count: probes of the REST API are in the
    # latency histogram too, with an empty API. `or` leaves out what has the labels of something on its left, whatever its name: a
    # count and its sum must come from one selector.
    "counters": """
        :tensorflow:serving:request_count{$model, status!="OK"}
        or {__name__=~":tensorflow:serving:request_latency_(count|sum|bucket)", $model, API=~"(?i:predict|classify|regress)"}
        or up{$server}
    """,
    # When each server was scraped: the answer to the query above has the time of the query instead.
    "scrapes": "up{$server}[$window]",
}

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression in RE2's syntax that must match a label's whole value."""

    text: str


Labels = Mapping[str, str | Pattern]
"""Label names with their values, or with patterns of them."""


def query(name: str, model: str, labels: Labels, window: str = "") -> str:
    """The text of a query for one model and the servers with these labels; `window` is a duration such as `300s`."""
    server = matchers(labels)
    text = " ".join(TEXTS[name].split())
    return Template(text).substitute(server=server, model=matchers({"model_name": model, **labels}), window=window)


def matchers(labels: Labels) -> str:
    """The label matchers in the given order, without braces. Raises Refused for a name that is not a label name."""
    return ", ".join(f"{check_label_name(name)}{_matcher(value)}" for name, value in labels.items())


def _matcher(value: str | Pattern) -> str:
    return f'=~"{escape(value.text)}"' if isinstance(value, Pattern) else f'="{escape(value)}"'


def literal_pattern(text: str) -> str:
    """The pattern that matches this text and no other."""
    return re.sub(r"([^a-zA-Z0-9_\x80-\U0010ffff])", r"\\\1", text)


def check_label_name(name: str) -> str:
    """Return the label name. Raises Refused where Prometheus would not accept it."""
    if not LABEL.fullmatch(name):
        raise Refused(f"metrics label {name!r}: must be letters, digits and _, and not begin with a digit")
    return name


def escape(value: str) -> str:
    """Escape a value for double quotes in PromQL, by the rules of Go's string literals."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
