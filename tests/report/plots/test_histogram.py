"""Rows of a distribution: each names its category or range, and says both shares."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.report.reading import browser, xml
from tfcanary.core.domain import Finding
from tfcanary.decide.drift import ColumnFound, Comparison
from tfcanary.decide.drift.comparison_result import Share
from tfcanary.decide.drift.layout import Kind
from tfcanary.report.as_html import as_html
from tfcanary.report.of_drift import drift_page
from tfcanary.report.plots.histogram import SharePair, share_plot

COUNTRIES = ("Germany", "France", "Italy", "all others")


def column(name: str, finding: Finding, labels: tuple[str, ...]) -> ColumnFound:
    """A column whose rows moved from the first value to the second one."""
    shares = tuple(Share(label, 0.4 - 0.1 * i, 0.1 + 0.1 * i) for i, label in enumerate(labels))
    return ColumnFound(name, Kind.CATEGORY, finding, f"{labels[0]}: 10 % against 40 %", 0.3, 1_000, 1_000, shares=shares)


def test_both_bars_have_one_scale_and_the_shares_stand_behind_them() -> None:
    picture = ElementTree.fromstring(share_plot(SharePair("Germany", 0.29, 0.022), 0.58).text)
    widths = {e.get("class"): e.get("width") for e in picture.iter("rect")}
    assert widths == {"stable": "35%", "canary": "2.66%"}
    (words,) = picture.iter("text")
    assert (words.text, words.get("x")) == ("29 % → 2.2 %", "35%")
    assert picture.findtext("desc") == "29 % of the reference, 2.2 % of the current rows"


def test_a_column_without_rows_has_a_picture() -> None:
    picture = ElementTree.fromstring(share_plot(SharePair("", 0.0, 0.0), 0.0).text)
    assert {e.get("width") for e in picture.iter("rect")} == {"0%"}
    assert picture.findtext("title") == "(empty)"


def test_the_page_names_every_category_and_every_range_of_values_with_both_shares() -> None:
    ranges = ("up to 29.0", "up to 40.5", "up to 82.2")
    columns = (column("country", Finding.FAIL, COUNTRIES), column("age", Finding.FAIL, ranges))
    words = browser(as_html(drift_page(Comparison(columns, 1_000, 1_000, 0.01), "t"))).words
    for label in (*COUNTRIES, *ranges):
        assert label in words
    assert words.count("40 % → 10 %") == 2


def test_columns_without_drift_are_in_a_fold() -> None:
    columns = (column("country", Finding.FAIL, COUNTRIES), column("same", Finding.PASS, ("a", "b")))
    (fold,) = xml(as_html(drift_page(Comparison(columns, 1_000, 1_000, 0.01), "t"))).iter("details")
    assert "1 column without drift" in "".join(fold.itertext())
    assert "same" in "".join(fold.itertext())
    assert "Germany" not in "".join(fold.itertext())
