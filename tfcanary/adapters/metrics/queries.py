"""What Prometheus is asked: a table of texts, and how labels get into them.

`$model` stands for the labels of this model's series, `$server` for those of its servers. Values are never pasted:
a model's name or a plan's selector is quoted as PromQL wants it, so that it stays one value whatever it holds; what is
part of a pattern is escaped before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from tfcanary.core.errors import Refused

TEXTS = {
    # Raw and cumulative, never a rate: increments are taken server by server, where a restart can be seen. One question
    # for all of them, since two would fall on two sides of a scrape now and then. The latency counts are those of the
    # three verbs: probes of the REST API are in the histogram, too, with an empty API.
    "counters": """
        :tensorflow:serving:request_count{$model, status!="OK"}
        or :tensorflow:serving:request_latency_count{$model, API=~"(?i:predict|classify|regress)"}
        or :tensorflow:serving:request_latency_bucket{$model, API=~"(?i:predict|classify|regress)"}
        or up{$server}
    """,
    # When each server was scraped: an answer to the question above carries the time of the question.
    "scrapes": "up{$server}[$window]",
}

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that a label's whole value matches, in RE2's syntax."""

    text: str


Labels = Mapping[str, str | Pattern]
"""Name to value, or to what the value is like."""


def query(name: str, model: str, labels: Labels, window: str = "") -> str:
    """A text of the table for one model and the servers with these labels."""
    server = matchers(labels)
    text = " ".join(TEXTS[name].split())
    return Template(text).substitute(server=server, model=matchers({"model_name": model, **labels}), window=window)


def matchers(labels: Labels) -> str:
    """Label matchers in the order given, without braces; raises Refused for a name that is no label name."""
    return ", ".join(f"{label_name(name)}{_matcher(value)}" for name, value in labels.items())


def _matcher(value: str | Pattern) -> str:
    return f'=~"{escaped(value.text)}"' if isinstance(value, Pattern) else f'="{escaped(value)}"'


def literally(text: str) -> str:
    """A text as a pattern that matches nothing else."""
    return re.sub(r"([^a-zA-Z0-9_\x80-\U0010ffff])", r"\\\1", text)


def label_name(name: str) -> str:
    """The name itself; raises Refused where Prometheus would not take it for one."""
    if not LABEL.fullmatch(name):
        raise Refused(f"metrics label {name!r}: must be letters, digits and _, and not begin with a digit")
    return name


def escaped(value: str) -> str:
    """A value between double quotes in PromQL; it follows the rules of Go's string literals."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
