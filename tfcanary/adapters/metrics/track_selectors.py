"""Selectors of the two tracks as people type them, `{app="m", track="canary"}`: taken apart here, and never pasted into a query."""

from __future__ import annotations

from tfcanary.adapters.metrics.queries import Labels, Pattern
from tfcanary.core import selector
from tfcanary.core.errors import Refused

EXAMPLE = '{app="digits", rollouts_pod_template_hash="5f8c6d7b9"}'


def labels_of(option: str, text: str) -> Labels:
    """Return the labels of a selector in braces; raises Refused naming the option where it is none, or matches a label by != or !~."""
    if not text.strip().startswith("{"):
        raise Refused(f"{option} {text!r}: must be matchers of labels in braces, for example {EXAMPLE}")
    try:
        matchers = selector.parse(f"up{text}").matchers
    except ValueError:
        raise Refused(f"{option} {text!r}: must be matchers of labels in braces, for example {EXAMPLE}") from None
    labels = {one.label: Pattern(one.value) if one.operator == "=~" else one.value for one in matchers}
    if len(labels) < len(matchers) or any(one.operator in ("!=", "!~") for one in matchers):
        raise Refused(f"{option} {text!r}: must name each label once, with = or =~: a track is told by what its series have")
    return labels
