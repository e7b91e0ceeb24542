"""A selector of the user's is one selector, or it is refused: nothing else ever gets into a question."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tfcanary.adapters.metrics.objectives import marked_query
from tfcanary.core.selector import Matcher, Selector, parse

HOSTILE = "\"'`\\{}()[],=~!#@$ \n\t:_-*+ab01é\x00\ud800"


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("my_fallbacks_total", Selector("my_fallbacks_total")),
        (" :a:b_total { } ", Selector(":a:b_total")),
        ("a_total{job='x',}", Selector("a_total", (Matcher("job", "=", "x"),))),
        (
            'a_total{job =~ "x.*\\\\d", code!="5", to!~"b" , from=""}',
            Selector(
                "a_total", (Matcher("job", "=~", "x.*\\d"), Matcher("code", "!=", "5"), Matcher("to", "!~", "b"), Matcher("from", "=", ""))
            ),
        ),
        (
            r"""a_total{said="\"} or up{a=\"",and='"'}""",
            Selector("a_total", (Matcher("said", "=", '"} or up{a="'), Matcher("and", "=", '"'))),
        ),
    ],
)
def test_a_selector_is_its_name_and_its_matchers(text: str, selector: Selector) -> None:
    assert parse(text) == selector


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "rate(a_total[5m])",
        "a_total[5m]",
        "a_total offset 5m",
        "a_total @ 0",
        "a_total or b_total",
        'a_total{job="x"} # as it was',
        '{job="x"}',
        '{__name__="a_total"}',
        'a_total{__name__="b_total"}',
        "a_total{job=x}",
        "a_total{job=`x`}",
        'a_total{job="x" code="y"}',
        "a_total{,}",
        'a_total{job="x",,}',
        'a_total{job="\\d"}',
        'a_total{job="x\ny"}',
        'a_total{job="x"}}',
        "1",
        "NaN",
        "inf{}",
        "a_total{" + 'job="x",' * 200 + "}",
    ],
)
def test_anything_else_is_refused_with_a_right_example(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape('for example my_fallbacks_total{job="serving"}')):
        parse(text)


@given(some.text(HOSTILE, max_size=30))
def test_a_value_stays_one_value_whatever_it_holds(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    try:
        (matcher,) = parse(f'a_total{{job="{quoted}"}}').matchers
    except ValueError:
        assert not value.isprintable()
    else:
        assert matcher.value == value


@given(some.text(HOSTILE, max_size=40), some.sampled_from(["", "a", "a{", 'a{b="', "a{b='", 'a{b="c"', 'a{b="c"}']))
def test_whatever_the_text_holds_the_question_is_one_selector_with_the_tracks_labels(text: str, before: str) -> None:
    """The question put together anew reads as the same selector with the track's label behind, and nothing besides."""
    try:
        selector = parse(before + text)
    except ValueError:
        return
    question = marked_query(before + text, {"track": "stable"}, "x/events")
    inner = question.removeprefix("label_replace(").removesuffix(', "tfcanary_objective", "x/events", "", "")')
    assert parse(inner) == Selector(selector.metric, (*selector.matchers, Matcher("track", "=", "stable")))
