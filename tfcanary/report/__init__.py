"""Reports: pages for people with the findings, decisions and acts of a release. Pure functions from values to text.

HTML pages are self-contained, without scripts, in a light and a dark colour scheme; Markdown has the same content without
pictures. The steps of the pipeline write both as artifacts, and the command line prints them.
"""

from __future__ import annotations

from tfcanary.core.domain import Look, Verdict
from tfcanary.core.record import Record, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.numbers import plain
from tfcanary.report.of_look import look_page
from tfcanary.report.of_release import release_page
from tfcanary.report.of_verdict import verdict_page
from tfcanary.report.plots.text import cut, isolate, visible
from tfcanary.report.signature_table import SignaturePairs, SignatureRow
from tfcanary.report.wording import canary_requests, last_verdict, release_line_head, release_reason

__all__ = [
    "SignaturePairs",
    "SignatureRow",
    "canary_requests",
    "last_verdict",
    "look_html",
    "look_markdown",
    "release_html",
    "release_line",
    "release_markdown",
    "verdict_html",
    "verdict_markdown",
]

_LINE = 400


def look_html(look: Look, title: str, pairs: SignaturePairs | None = None) -> str:
    """Return a gate's page as HTML: finding, reason, evidence, both signatures side by side, and what was not checked."""
    return as_html(look_page(look, title, pairs))


def look_markdown(look: Look, title: str, pairs: SignaturePairs | None = None) -> str:
    """Return a gate's page as Markdown, with the content of `look_html`."""
    return as_markdown(look_page(look, title, pairs))


def verdict_html(verdict: Verdict, title: str, timeline: Timeline | None = None) -> str:
    """Return a stage's page as HTML: decision, reason, criteria with their intervals, and the pictures over time."""
    return as_html(verdict_page(verdict, title, timeline))


def verdict_markdown(verdict: Verdict, title: str, timeline: Timeline | None = None) -> str:
    """Return a stage's page as Markdown, with the content of `verdict_html`."""
    return as_markdown(verdict_page(verdict, title, timeline))


def release_html(
    record: Record, timeline: Timeline | None = None, pairs: SignaturePairs | None = None, brief: bool = False, run_id: str = ""
) -> str:
    """Return the page of the record's release as HTML.

    The page has the state and its reason, the pictures over time, stages, criteria, gates, signatures, the fields of the plan that
    differ from the defaults, what was not checked, and the digests. `brief` omits everything below the first figures. With `run_id`,
    the page of that run: where the record holds another release, it says that this run has none.
    """
    return as_html(release_page(record, timeline, pairs, brief, run_id))


def release_markdown(
    record: Record, timeline: Timeline | None = None, pairs: SignaturePairs | None = None, brief: bool = False, run_id: str = ""
) -> str:
    """Return the page of the record's release as Markdown, with the content of `release_html`."""
    return as_markdown(release_page(record, timeline, pairs, brief, run_id))


def release_line(release: Release, timeline: Timeline | None = None) -> str:
    """Return one line for terminals: `digits v3 rolled back at stage 1 (25 %): errors 4.1 times stable's; 480 requests reached it`.

    Without a timeline the line has no number of requests.
    """
    line = isolate(cut(visible(f"{release_line_head(release)}: {release_reason(release).removesuffix('.')}"), _LINE))
    requests = canary_requests(release, timeline)
    if release.state is State.OPEN or requests is None:
        return line
    count = "no request" if requests == 0 else "1 request" if requests == 1 else f"{plain(requests)} requests"
    return f"{line}; {count} reached it"
