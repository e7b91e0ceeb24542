"""Every text has a contrast of 4.5 or more to what is behind it, in light and in dark (WCAG 2.1, 1.4.3)."""

from __future__ import annotations

import colorsys
import re

import pytest

from tfcanary.report import style

TONES = ("good", "warn", "doubt", "bad", "plain")
PAIRS = [
    *((text, ground) for text in ("text", "muted") for ground in ("page", "panel", "band", *(f"{tone}-soft" for tone in TONES))),
    *((tone, ground) for tone in TONES for ground in ("page", f"{tone}-soft")),
]


def colours(sheet: str) -> dict[str, str]:
    """By name."""
    return dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", sheet))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sheet", [style._LIGHT, style._DARK], ids=["light", "dark"])
def test_text_can_be_read(sheet: str) -> None:
    known = colours(sheet)
    too_weak = {
        pair: round(contrast(known[pair[0]], known[pair[1]]), 2) for pair in PAIRS if contrast(known[pair[0]], known[pair[1]]) < 4.5
    }
    assert too_weak == {}


@pytest.mark.parametrize("sheet", [style._LIGHT, style._DARK], ids=["light", "dark"])
def test_lines_and_boxes_of_legends_can_be_seen(sheet: str) -> None:
    """Graphics have a contrast of 3 or more to the page (WCAG 2.1, 1.4.11); a band is pale, so its box in a legend has a border."""
    known = colours(sheet)
    weak = {name: round(contrast(known[name], known["page"]), 2) for name in ("text", "muted", "stage", "stable", "canary", *TONES)}
    assert {name: value for name, value in weak.items() if value < 3} == {}
    assert ".tfcanary .legend .band { stroke: var(--stage); }" in style.SHEET
    assert ".tfcanary .stage { stroke: var(--stage);" in style.SHEET


@pytest.mark.parametrize("sheet", [style._LIGHT, style._DARK], ids=["light", "dark"])
def test_undecided_is_amber_a_bad_model_red_and_what_does_not_decide_grey(sheet: str) -> None:
    """By hue and saturation: red near 0 degrees, amber from 25 to 50, grey with little of any."""
    known = colours(sheet)
    hue, saturation = {}, {}
    for tone in ("bad", "doubt", "plain"):
        red, green, blue = (int(known[tone][i : i + 2], 16) / 255 for i in (0, 2, 4))
        degrees, _, saturation[tone] = colorsys.rgb_to_hls(red, green, blue)
        hue[tone] = 360 * degrees
    assert hue["bad"] < 12
    assert 25 < hue["doubt"] < 50
    assert saturation["plain"] < 0.25 < min(saturation["bad"], saturation["doubt"])


@pytest.mark.parametrize("sheet", [style._LIGHT, style._DARK], ids=["light", "dark"])
def test_the_two_tracks_are_told_apart_without_hue(sheet: str) -> None:
    """Columns of stable and canary touch: their brightness differs by 1.8 times or more."""
    known = colours(sheet)
    assert contrast(known["stable"], known["canary"]) >= 1.8


def test_light_and_dark_name_the_same_colours() -> None:
    assert colours(style._LIGHT).keys() == colours(style._DARK).keys()
    assert set(re.findall(r"var\(--([a-z-]+)\)", style.SHEET)) - {"tone", "soft"} <= colours(style._LIGHT).keys()
