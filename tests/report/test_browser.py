"""A real browser lays the pages out as the Kubeflow UI does: in a sandboxed frame that runs no script and loads nothing.

The frame's surroundings, which are the test's own, measure it. Skipped by name where there is no Chromium.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.report.test_hostile import HOSTILE, all_pages
from tests.report.write_golden import pages

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=2000", "--dump-dom",
)  # fmt: skip
MEASURE = """
function measured(frame) {
  const page = frame.contentDocument, width = page.documentElement.clientWidth;
  // What a cell with an ellipsis cuts off is not seen.
  const cut = e => e.closest(".row.tight .name") !== null;
  const out = [...page.querySelectorAll("main *")].filter(e => {
    const box = e.getBoundingClientRect();
    return !cut(e) && box.width > 0 && (box.left < -0.5 || box.right > width + 0.5);
  });
  return {frame: frame.name, width, scroll: page.documentElement.scrollWidth, letters: page.body.innerText.length,
    background: getComputedStyle(page.body).backgroundColor,
    out: out.slice(0, 5).map(e => `${e.tagName} ${e.getAttribute("class")} ${e.textContent.slice(0, 60)}`)};
}
addEventListener("load", () => {
  document.getElementById("result").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measured));
});
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]


@dataclass(frozen=True)
class Measured:
    """A page as it was laid out."""

    frame: str
    width: int
    scroll: int
    background: str
    out: list[str]
    """What lies beyond the left or right edge."""
    letters: int


def laid_out(named: dict[str, str], folder: Path, width: int, dark: bool = False) -> list[Measured]:
    """Each page in a frame of this width."""
    frames = "".join(
        f'<iframe name="{name}" width="{width}" height="900" style="border:0" sandbox="allow-same-origin" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for name, page in named.items()
    )
    whole = folder / "frames.html"
    whole.write_text(f'<!DOCTYPE html><meta charset="utf-8"><script>{MEASURE}</script>{frames}<pre id="result"></pre>', encoding="utf-8")
    dom = chromium(folder, whole, f"--window-size={width + 100},1000", f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found, "the browser said nothing"
    return [Measured(**one) for one in json.loads(html.unescape(found.group(1)))]


def chromium(folder: Path, page: Path, *flags: str) -> str:
    """What the browser makes of a page."""
    assert CHROMIUM
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


@pytest.mark.parametrize("width", [400, 600, 1200])
def test_no_page_is_wider_than_its_frame(tmp_path: Path, width: int) -> None:
    named = {name: page for name, page in pages() if name.endswith(".html")}
    for seen in laid_out(named, tmp_path, width):
        assert seen.letters > 200, seen.frame
        assert seen.out == [], seen.frame
        assert seen.scroll <= seen.width, seen.frame


@pytest.mark.parametrize("name", ["long", "long words", "attribute", "script", "hebrew", "bidi"])
def test_hostile_names_wrap(tmp_path: Path, name: str) -> None:
    named = {f"{i}": page for i, (page, _) in enumerate(all_pages(HOSTILE[name]))}
    for seen in laid_out(named, tmp_path, 600):
        assert seen.out == []
        assert seen.scroll <= seen.width


def test_a_page_follows_the_colour_scheme_of_the_reader(tmp_path: Path) -> None:
    named = {name: page for name, page in pages() if name == "promoted.html"}
    (light,) = laid_out(named, tmp_path, 600)
    (dark,) = laid_out(named, tmp_path, 600, dark=True)
    assert (light.background, dark.background) == ("rgb(255, 255, 255)", "rgb(18, 21, 26)")
