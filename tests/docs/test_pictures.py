"""The pictures are small, are shown somewhere, load nothing, and keep what the browser drew."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from docs import png, screenshots
from docs.markdown import links
from tests.docs.documents import FILES

PICTURES = sorted(screenshots.IMAGES.glob("*"))
SHOWN = {(file.parent / link).resolve() for file in FILES for link in links(file.read_text(encoding="utf-8")) if "://" not in link}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.name)
def test_a_picture_is_small_and_shown_somewhere(picture: Path) -> None:
    assert picture in SHOWN
    assert picture.stat().st_size <= screenshots.LARGEST


@pytest.mark.parametrize("picture", [p for p in PICTURES if p.suffix == ".svg"], ids=lambda p: p.name)
def test_a_drawn_picture_loads_nothing_and_runs_nothing(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|<script|href=|@import", text)


def test_every_shot_is_there_in_light_and_dark() -> None:
    assert {f"{shot.picture}-{shade}.png" for shot in screenshots.SHOTS for shade in screenshots.SHADES} <= {p.name for p in PICTURES}


def drawn() -> png.Pixels:
    """Ten colours in unequal areas."""
    pixels = np.zeros((40, 30, 3), np.uint8)
    for number in range(10):
        pixels[: 40 - 4 * number, : 30 - 2 * number] = (25 * number, 255 - 25 * number, 7 * number)
    return pixels


def test_another_kind_of_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="colour type 3"):
        png.decode(png.encode(np.zeros((2, 2), np.uint8), np.zeros((1, 3), np.uint8)))
    with pytest.raises(ValueError, match="is no PNG"):
        png.decode(b"GIF89a")


@pytest.mark.parametrize("kind", range(5))
def test_every_way_in_which_a_row_can_be_written_is_read(kind: int) -> None:
    pixels = drawn()
    assert np.array_equal(png.decode(written(pixels, kind)), pixels)


def test_colours_beyond_the_most_frequent_become_the_nearest_of_them() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:3] = (200, 0, 0)
    pixels[0, 0] = (190, 5, 0)
    small = png.with_few_colours(written(pixels, 0), 2)
    palette = small[small.index(b"PLTE") + 4 :][:6]
    assert {palette[:3], palette[3:]} == {bytes((0, 0, 0)), bytes((200, 0, 0))}


def written(pixels: png.Pixels, kind: int) -> bytes:
    """A PNG of red, green and blue whose rows are all written in the same way."""
    height, width, _ = pixels.shape
    wide = pixels.astype(np.int32)
    left = np.pad(wide, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    up = np.pad(wide, ((1, 0), (0, 0), (0, 0)))[:-1]
    corner = np.pad(wide, ((1, 0), (1, 0), (0, 0)))[:-1, :-1]
    guess = left + up - corner
    nearest = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)]).argmin(axis=0)
    guesses = (np.zeros_like(wide), left, up, (left + up) // 2, np.choose(nearest, (left, up, corner)))
    rows = ((wide - guesses[kind]) & 255).astype(np.uint8).reshape(height, -1)
    raw = np.concatenate([np.full((height, 1), kind, np.uint8), rows], axis=1).tobytes()
    return png.assembled(width, height, 2, raw)
