"""Selectors that people type are taken apart, and what is no matcher of a label is refused."""

from __future__ import annotations

import pytest

from tfcanary.adapters.metrics.queries import Pattern, matchers
from tfcanary.adapters.metrics.track_selectors import labels_of
from tfcanary.core.errors import Refused


def test_a_selector_becomes_labels() -> None:
    assert labels_of("--s", '{app="m", pod=~"m-v8-.*"}') == {"app": "m", "pod": Pattern("m-v8-.*")}
    assert labels_of("--s", " { app = 'm' , } ") == {"app": "m"}


def test_a_value_stays_one_value_whatever_it_contains() -> None:
    assert matchers(labels_of("--s", r"""{app="a\"} or up{b=\"c"}""")) == r'app="a\"} or up{b=\"c"'


NO_SELECTORS = (
    *("", "app", 'app="m"', 'up{app="m"}', '_total{app="m"}', '{app="m"', '{app="m"} or up', '{app="m"}[5m]', "{app=m}"),
    *('{app!="m"}', '{app="m", pod!~"x"}', '{app="m", app="n"}', '{__name__="up"}', '{a-b="m"}', '{app="a\nb"}', f'{{app="{400 * "x"}"}}'),
)


@pytest.mark.parametrize("text", NO_SELECTORS)
def test_what_tells_no_track_apart_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--stable-selector"):
        labels_of("--stable-selector", text)
