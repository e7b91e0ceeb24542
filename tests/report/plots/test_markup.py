"""Markup that cannot be injected into."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from tfcanary.report.plots.markup import Markup, code, element, join, number, percent, picture
from tfcanary.report.plots.text import visible

ANY = st.text(st.characters(), max_size=80)


@given(ANY, ANY)
@settings(max_examples=300, deadline=None)
def test_whatever_the_text_the_element_holds_just_that_text(text: str, value: str) -> None:
    read = ElementTree.fromstring(element("p", text, title=value).text)
    assert (read.text or "", read.get("title"), len(read)) == (visible(text), visible(value), 0)


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_code_breaks_at_slashes_and_loses_no_letter(text: str) -> None:
    read = ElementTree.fromstring(code(text).text)
    assert "".join(read.itertext()) == visible(text)
    assert {child.tag for child in read} <= {"wbr"}


def test_finished_markup_is_taken_as_it_is() -> None:
    assert element("div", element("b", "<"), " & ").text == "\n<div><b>&lt;</b> &amp; </div>"


def test_names_of_attributes_are_written_as_svg_has_them() -> None:
    line = element("line", stroke_width=2, class_="axis", viewBox="0 0 1 1", fill=None)
    assert line.text == '<line stroke-width="2" class="axis" viewBox="0 0 1 1"/>'


def test_an_empty_element_may_have_children_after_all() -> None:
    assert element("rect", element("title", "pass"), x=0).text == '<rect x="0"><title>pass</title></rect>'


def test_coordinates_are_short() -> None:
    assert (number(1.0), number(0.3333), number(100.0), percent(0.125)) == ("1", "0.33", "100", "12.5%")


def test_a_picture_says_what_it_shows() -> None:
    read = ElementTree.fromstring(picture("Weight", "5 % then 25 %").text)
    assert (read.get("role"), read.findtext("title"), read.findtext("desc")) == ("img", "Weight", "5 % then 25 %")


def test_join_escapes_what_is_not_markup() -> None:
    assert join(["<", Markup("<br/>")]).text == "&lt;<br/>"
