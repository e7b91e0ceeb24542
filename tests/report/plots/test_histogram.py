"""Rows of a distribution: each names its category or range, and says both shares."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.report import samples
from tests.report.reading import browser, xml
from tfcanary.report.as_html import as_html
from tfcanary.report.of_drift import drift_page
from tfcanary.report.plots.histogram import SharePair, share_plot


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
    words = browser(as_html(drift_page(samples.drifted(), "t"))).words
    for label in ("Germany", "France", "Italy", "all others", "up to 29.0", "up to 40.5", "up to 82.2"):
        assert label in words
    assert words.count("40 % → 10 %") == 3


def test_columns_without_drift_are_in_a_fold() -> None:
    (fold,) = xml(as_html(drift_page(samples.drifted(), "t"))).iter("details")
    assert "1 column without drift" in "".join(fold.itertext())
    assert "same" in "".join(fold.itertext())
    assert "Germany" not in "".join(fold.itertext())
