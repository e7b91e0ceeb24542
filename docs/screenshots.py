"""Makes the pictures of docs/images/ from a real run of the demo: `python -m docs.screenshots` (six minutes; needs Chromium).

The demo runs in a process of its own; its record is followed from outside, as `tfcanary status` does, for the picture of a terminal. The
pages that it leaves are laid out by Chromium, in light and dark. `--pages` makes the pages' pictures again, from the last run.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from docs import png
from tfcanary.act import checkpoint, ledger
from tfcanary.core.errors import TfcanaryError
from tfcanary.core.record import State
from tfcanary.run import steps
from tfcanary.run.submit import progress
from tfcanary.run.submit.snapshots import Snapshot

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DEMO = ROOT / ".tfcanary" / "demo"
MODEL, GOOD = "digits", 2
"""The demo's model, and the version that it promotes."""
LARGEST = 150_000
"""Bytes of a picture: they travel with every clone."""
COLOURS = 96
SHADES = {"light": "1", "dark": "0"}
"""How Chromium numbers them."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A page, and how much of it is shown."""

    page: str
    picture: str
    width: int
    height: int


SHOTS = (
    Shot("better.html", "promoted", 1200, 950),
    Shot("breaks-under-load.html", "rolled-back", 1200, 950),
    Shot("breaks-under-load.html", "rolled-back-narrow", 600, 1010),
    Shot("other-signature.html", "refused", 1200, 600),
    Shot("forecast.html", "forecast", 1200, 1000),
)


def main(arguments: list[str]) -> int:
    """Run the demo, unless only the pages are wanted; then every picture. 0 where each was made and is small."""
    if shutil.which("chromium") is None:
        print("chromium: is missing; apt-get install chromium", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    if "--pages" not in arguments:
        _run()
    subprocess.run(
        [*_tfcanary(), "plan", "examples/plan.yaml", "--rate", "200", "--error-rate", "0.001", "--html", str(DEMO / "forecast.html")],
        check=True,
    )
    made = [_shoot(shot, shade) for shot in SHOTS for shade in SHADES]
    for picture in made:
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")
    return 0 if all(picture.stat().st_size <= LARGEST for picture in made) else 1


def _tfcanary() -> list[str]:
    return [sys.executable, "-m", "tfcanary"]


def _run() -> None:
    """The demo to its end; the terminal's picture is of the last moment in which the better model is watched."""
    last = None
    with subprocess.Popen([*_tfcanary(), "demo"], cwd=ROOT) as demo:
        while demo.poll() is None:
            last = _seen() or last
            time.sleep(1.0)
    if demo.returncode or last is None:
        raise SystemExit(f"the demo did not end as it should (exit {demo.returncode})")
    (IMAGES / "terminal.svg").write_text(_terminal(last), encoding="utf-8")


def _seen() -> Snapshot | None:
    """The release of the better model while it is watched, with what its judge has found; else None."""
    try:
        platform = steps.reopen_step(f"local://{DEMO / 'platform'}", MODEL).platform
        record = ledger.read(platform)
        release = record.release
        if release is None or release.candidate is None or release.candidate.number != GOOD or release.state is not State.WATCHED:
            return None
        watched = release.holder is not None and release.holder.watching
        return Snapshot(record, release, checkpoint.load(platform, release)) if watched else None
    except TfcanaryError:
        # Between two releases, or before the first: there is nothing to see yet.
        return None


def _terminal(seen: Snapshot) -> str:
    """What `tfcanary release` shows at this moment."""
    console = Console(record=True, width=112, file=io.StringIO())
    console.print(f"$ tfcanary release exports/better --name {MODEL} --plan plan.yaml")
    console.print(progress.picture(seen, datetime.now(UTC)))
    drawn = console.export_svg(title="tfcanary release", theme=DIMMED_MONOKAI)
    # Without the font that it would fetch from somewhere: a picture of ours loads nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def _shoot(shot: Shot, shade: str) -> Path:
    picture = IMAGES / f"{shot.picture}-{shade}.png"
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", f"--user-data-dir={folder}/profile"]
        window = [f"--window-size={shot.width},{shot.height}", f"--blink-settings=preferredColorScheme={SHADES[shade]}"]
        page = (DEMO / shot.page).as_uri()
        subprocess.run(["chromium", *flags, *window, f"--screenshot={raw}", page], check=True, capture_output=True, timeout=120)
        picture.write_bytes(png.with_few_colours(raw.read_bytes(), COLOURS))
    return picture


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
