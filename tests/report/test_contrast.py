"""Every text has a contrast of 4.5 or more to what is behind it, in light and in dark (WCAG 2.1, 1.4.3)."""

from __future__ import annotations

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
def test_the_two_tracks_are_told_apart_without_hue(sheet: str) -> None:
    """Columns of stable and canary touch: their brightness differs by 1.8 times or more."""
    known = colours(sheet)
    assert contrast(known["stable"], known["canary"]) >= 1.8


def test_light_and_dark_name_the_same_colours() -> None:
    assert colours(style._LIGHT).keys() == colours(style._DARK).keys()
    assert set(re.findall(r"var\(--([a-z-]+)\)", style.SHEET)) - {"tone", "soft"} <= colours(style._LIGHT).keys()
