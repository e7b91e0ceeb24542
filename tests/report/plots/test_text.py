"""Foreign text made fit to be shown."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from tfcanary.report.plots.text import cut, isolate, visible

ANY = st.text(st.characters(), max_size=200)


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_visible_text_has_no_controls_and_can_be_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") or c in "\u202e\u2066\u2028\ufeff\ufffe"]


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)


def test_line_breaks_become_spaces() -> None:
    assert visible("a\r\n\tb\u2028c") == "a b c"


def test_marks_that_turn_text_are_spelled_out() -> None:
    assert visible("a\u202eb") == r"a\u202eb"


def test_letters_of_any_script_stay() -> None:
    assert visible("דגם 模型 naïve 🐤") == "דגם 模型 naïve 🐤"


def test_credentials_in_an_address_are_left_out() -> None:
    assert visible("http://me:secret@host:9090/x and s3://key@bucket") == "http://…@host:9090/x and s3://…@bucket"
    assert visible("me@example.com") == "me@example.com"


def test_credentials_are_gone_before_the_text_is_cut() -> None:
    assert "sec" not in cut("http://me:secret@host", 14)


def test_a_cut_text_says_how_long_it_was() -> None:
    assert cut("x" * 10_240, 3) == "xxx … (10,240 characters)"
    assert cut("xxx", 3) == "xxx"


def test_only_text_from_right_to_left_is_fenced_in() -> None:
    assert isolate("plain") == "plain"
    assert isolate("דגם") == "\u2068דגם\u2069"
