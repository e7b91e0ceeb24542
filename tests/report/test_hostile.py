"""Names, reasons, labels and digests that want to be more than text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

import pytest

from tests.report import samples
from tests.report.reading import browser, markdown, rows, said_in, xml
from tfcanary import report
from tfcanary.core.domain import Evidence, Finding, Interval, Look
from tfcanary.core.record import Record
from tfcanary.core.timeline import Timeline
from tfcanary.report.plots.text import cut

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"><img src=x onerror=alert(1)> ' onmouseover='alert(1)",
    "end of style": "</style></svg></title></bdi><script>alert(1)</script>",
    "comment": "]]><!-- --><?xml version='1.0'?>",
    "entity": "&lt;b&gt; &amp; &#60;i&#62; &nosuch;",
    "pipe": "a | b || c \\| d",
    "lines": "first\nsecond\r\n# heading\n\n- item\n| a | b |\n| --- | --- |",
    "bidi": "v3\u202egpj.exe\u2066x",
    "hebrew": "דגם ספרות",
    "long": "x" * 10_240,
    "long words": "very long " * 1_024,
    "markdown": "`code` ``x`` **bold** _it_ ~~no~~ [link](javascript:alert(1)) ![i](http://x/y.png) <http://x> \\",
    "address": "https://evil.example/ www.evil.example me@evil.example",
    "secret": "http://user:opensesame@prometheus:9090",
    "controls": "\x00\x07\x1b[31mred\x7f\x85",
    "surrogate": "\ud800 \udfff",
    "template": "{{workflow.name}} $(HOME) ${jndi:x} %s {0}",
    "list": "1. one",
    "empty": "",
    "spaces": "   ",
}


CHECKED = ("image", "url", "token_file", "username", "password_file", "ca_file", "certificate_file", "key_file")
"""Fields whose texts a plan looks at itself: no such text gets any further."""


def poisoned(value: Any, text: str) -> Any:
    """The value with every text in it replaced; words of the vocabulary stay."""
    if isinstance(value, StrEnum):
        return value
    if isinstance(value, str):
        return text
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: poisoned(getattr(value, f.name), text) for f in fields(value) if f.name not in CHECKED})
    if isinstance(value, Mapping):
        return {f"{text}{i}": poisoned(item, text) for i, item in enumerate(value.values())}
    return tuple(poisoned(item, text) for item in value) if isinstance(value, tuple) else value


def fewer(record: Record, timeline: Timeline | None) -> tuple[Record, Timeline | None]:
    """With every twelfth poll: what can go wrong with names does not need more."""
    return record, replace(timeline, points=timeline.points[::12]) if timeline else None


@cache
def all_pages(text: str | None) -> list[tuple[str, str]]:
    """HTML and Markdown of every kind of page, with the text in every place where a text can be."""

    def given(value: Any) -> Any:
        return value if text is None else poisoned(value, text)

    title = "title" if text is None else text
    pages = []
    look, pairs = given(samples.VALIDATED), given(samples.PAIRS)
    for make in samples.RELEASES.values():
        record, timeline = given(fewer(*make()))
        pages.append((report.release_html(record, timeline, pairs), report.release_markdown(record, timeline, pairs)))
    record, timeline = given(fewer(*samples.rolled_back()))
    verdict = record.release.watched[-1]
    pages.append((report.look_html(look, title, pairs), report.look_markdown(look, title, pairs)))
    pages.append((report.verdict_html(verdict, title, timeline), report.verdict_markdown(verdict, title, timeline)))
    return pages


HARMLESS = [browser(page) for page, _ in all_pages(None)]
TAGS = {tag for seen in HARMLESS for tag in seen.tags}
NAMES = {name for seen in HARMLESS for name, _ in seen.attributes}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@hostile
def test_no_tag_and_no_attribute_comes_from_data(text: str) -> None:
    for page, _ in all_pages(text):
        seen = browser(page)
        assert set(seen.tags) <= TAGS
        assert {name for name, _ in seen.attributes} <= NAMES
        assert seen.odd == []


@hostile
def test_a_page_is_well_formed_and_can_be_written(text: str) -> None:
    for page, _ in all_pages(text):
        page.encode("utf-8")
        assert xml(page).tag == "html"


@hostile
def test_markdown_has_no_html_no_link_and_whole_tables(text: str) -> None:
    for _, twin in all_pages(text):
        twin.encode("utf-8")
        kinds = {token.type for token in markdown(twin)}
        assert not kinds & {"html_block", "html_inline", "link_open", "image", "blockquote_open", "fence", "code_block"}
        assert "<" not in twin
        assert ">" not in twin


@hostile
def test_every_markdown_table_keeps_its_columns(text: str) -> None:
    """A bar or a line break in a value neither adds a cell nor ends the table: rows are as many and as wide as harmless ones."""
    for (_, twin), (_, harmless) in zip(all_pages(text), all_pages(text and "word"), strict=True):
        assert list(rows(twin)) == list(rows(harmless))


@hostile
def test_markdown_headings_are_ours(text: str) -> None:
    for (_, twin), (_, harmless) in zip(all_pages(text), all_pages("word"), strict=True):
        levels, expected = ([t.tag for t in markdown(page) if t.type == "heading_open"] for page in (twin, harmless))
        assert levels == expected


def test_hostile_text_is_shown_letter_by_letter() -> None:
    """Escaped once: neither swallowed nor escaped twice."""
    for name in ("script", "attribute", "end of style", "entity", "comment"):
        page = report.look_html(Look("x", (Evidence("q", Finding.FAIL, HOSTILE[name]),)), "t")
        assert HOSTILE[name] in browser(page).words


@hostile
def test_markdown_shows_text_letter_by_letter(text: str) -> None:
    """Nothing is swallowed, read as a mark or moved to the next cell: id, reason and figure are all there, in two cells."""
    shown = cut(text, 60)[:90]
    evidence = Evidence(shown, Finding.FAIL, shown, figures={"figure": shown})
    *_, question, answer = (unfenced(said) for said in said_in(report.look_markdown(Look("x", (evidence,)), shown)))
    assert question.strip() == shown.strip()
    assert answer.strip() == f"{shown} (figure {shown})".strip()


def unfenced(text: str) -> str:
    """Without the marks that keep the direction of a text to itself."""
    return text.replace("\u2068", "").replace("\u2069", "")


def test_what_would_turn_or_hide_text_is_spelled_out() -> None:
    page = report.look_html(Look("x", (Evidence("q", Finding.FAIL, HOSTILE["bidi"]),)), "t")
    assert "\u202e" not in page
    assert r"v3\u202egpj.exe\u2066x" in browser(page).words


def test_a_name_of_ten_thousand_letters_is_cut_and_says_so() -> None:
    for page, twin in all_pages(HOSTILE["long"]):
        assert "(10,240 characters)" in browser(page).words
        assert "(10,240 characters)" in twin
        assert "x" * 2_000 not in page + twin


def test_credentials_in_an_address_are_not_shown() -> None:
    for page, twin in all_pages(HOSTILE["secret"]):
        assert "opensesame" not in page + twin


def test_a_line_for_terminals_is_one_line_without_controls() -> None:
    for text in HOSTILE.values():
        record, _ = poisoned(samples.rolled_back(), text)
        line = report.release_line(record.release)
        assert line.isprintable() or "\u2068" in line
        assert len(line) < 600


def test_nothing_is_loaded_and_nothing_runs() -> None:
    for page, _ in all_pages(None):
        seen = browser(page)
        assert not {"script", "link", "img", "iframe", "a", "base", "form", "object", "foreignobject", "use", "image"} & set(seen.tags)
        assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "href", "xlink:href", "srcset")]
        assert "url(" not in page
        assert "@import" not in page
        assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in seen.attributes


def test_a_look_of_ten_thousand_answers_stays_small_and_says_what_it_leaves_out() -> None:
    """The worst come first, so nothing worse than what is shown is hidden."""
    many = tuple(Evidence(f"q{i}", Finding.FAIL if i == 9_999 else Finding.WARN, "r" * 700) for i in range(10_000))
    page, twin = report.look_html(Look("x", many), "t"), report.look_markdown(Look("x", many), "t")
    assert "q9999" in page
    assert "9,799 more are not shown; none of them is worse than these." in twin
    assert len(page) < 400_000
    assert len(twin) < 400_000


def test_markdown_stays_below_what_the_user_interface_shows() -> None:
    """A hundred gates with two hundred failures each end at a line that says so."""
    looks = {f"drift-{i}": Look("x", tuple(Evidence(f"q{j}", Finding.FAIL, "r" * 700) for j in range(200))) for i in range(100)}
    record, timeline = samples.rolled_back()
    assert record.release
    twin = report.release_markdown(replace(record, release=replace(record.release, looks=looks)), timeline)
    assert len(twin) < 400_000
    assert "longer than can be shown" in twin


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf"), 0.0, -3.0, 1e300, 5e-324])
@pytest.mark.parametrize("unit", ["ratio to stable", "share", "seconds", "widgets", "<b>"])
def test_a_number_that_is_none_breaks_no_picture(odd: float, unit: str) -> None:
    """Whichever of the five numbers it is."""
    for place in range(5):
        numbers = [0.9, 1.0, 1.2, 1.1, 1.5]
        numbers[place] = odd
        low, mid, high, tolerance, margin = numbers
        evidence = Evidence("q", Finding.WARN, "r", unit=unit, interval=Interval(low, mid, high), tolerance=tolerance, margin=margin)
        page = report.look_html(Look("x", (evidence,)), "t")
        xml(page)
        assert "nan" not in page
        assert not [value for name, value in browser(page).attributes if name in ("x", "x1", "x2", "cx") and "inf" in value]
