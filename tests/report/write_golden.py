"""The golden pages: `python -m tests.report.write_golden` writes them anew; look at what changed before you keep it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.report import samples
from tfcanary import report
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.of_drift import drift_page
from tfcanary.report.of_history import history_page

FOLDER = Path(__file__).parent / "golden"


def pages() -> Iterator[tuple[str, str]]:
    """Name and content of each."""
    for name, make in samples.RELEASES.items():
        record, timeline = make()
        pairs = {"promoted": samples.ALIKE, "undecided": samples.PAIRS}.get(name)
        yield f"{name}.html", report.release_html(record, timeline, pairs)
        yield f"{name}.md", report.release_markdown(record, timeline, pairs)
    look = samples.refused_by_validation()[0].release.looks["validate"]
    yield "validate.html", report.look_html(look, "Validation of digits, version 3", samples.PAIRS)
    yield "validate.md", report.look_markdown(look, "Validation of digits, version 3", samples.PAIRS)
    record, timeline = samples.rolled_back()
    verdict = record.release.watched[-1]
    yield "stage.html", report.verdict_html(verdict, "Stage 2 of digits, version 3", timeline)
    yield "stage.md", report.verdict_markdown(verdict, "Stage 2 of digits, version 3", timeline)
    yield "second_run.html", report.release_html(samples.watched(), timeline, run_id="run-0010")
    yield "second_run.md", report.release_markdown(samples.watched(), timeline, run_id="run-0010")
    for name, page in (("history", history_page(record)), ("drift", drift_page(samples.drifted(), "today.parquet against train.parquet"))):
        yield f"{name}.html", as_html(page)
        yield f"{name}.md", as_markdown(page)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages():
        (FOLDER / name).write_text(text, encoding="utf-8")
