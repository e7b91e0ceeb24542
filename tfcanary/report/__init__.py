"""Reports: what was found, decided and done, as pages for people. Pure functions from values to text.

HTML is self-contained (no script, nothing to load, light and dark); Markdown says the same without pictures. The
steps write them as artifacts, the command line prints them.
"""

from __future__ import annotations

from tfcanary.core.domain import Look, Verdict
from tfcanary.core.record import Record, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.numbers import plain
from tfcanary.report.of_drift import drift_html, drift_markdown
from tfcanary.report.of_look import look_page
from tfcanary.report.of_release import release_page
from tfcanary.report.of_verdict import verdict_page
from tfcanary.report.plots.text import cut, isolated, visible
from tfcanary.report.signature_table import SignaturePairs, SignatureRow
from tfcanary.report.wording import canary_requests, last_verdict, named, where, why

__all__ = [
    "SignaturePairs",
    "SignatureRow",
    "canary_requests",
    "drift_html",
    "drift_markdown",
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
    """A gate's page: the finding first, one sentence why, the evidence, two signatures side by side, what was not asked."""
    return as_html(look_page(look, title, pairs))


def look_markdown(look: Look, title: str, pairs: SignaturePairs | None = None) -> str:
    """The same in Markdown."""
    return as_markdown(look_page(look, title, pairs))


def verdict_html(verdict: Verdict, title: str, timeline: Timeline | None = None) -> str:
    """A stage's page: the decision first, one sentence why, the criteria with their intervals, the way there."""
    return as_html(verdict_page(verdict, title, timeline))


def verdict_markdown(verdict: Verdict, title: str, timeline: Timeline | None = None) -> str:
    """The same in Markdown."""
    return as_markdown(verdict_page(verdict, title, timeline))


def release_html(record: Record, timeline: Timeline | None = None, pairs: SignaturePairs | None = None, brief: bool = False) -> str:
    """The whole release: how it ended and why, then timeline, stages, criteria, gates, signatures, where the plan was weaker, what was not asked, which bytes. `brief`: only how, why and the first figures."""
    return as_html(release_page(record, timeline, pairs, brief))


def release_markdown(record: Record, timeline: Timeline | None = None, pairs: SignaturePairs | None = None, brief: bool = False) -> str:
    """The same in Markdown."""
    return as_markdown(release_page(record, timeline, pairs, brief))


def release_line(release: Release) -> str:
    """One line for terminals: `digits v3 rolled back at stage 1 (25 %): errors 4.1 times stable's; 480 requests reached it`."""
    head = f"{named(release.candidate)} {release.state.value} {where(release)}".strip()
    line = isolated(cut(visible(f"{head}: {why(release).removesuffix('.')}"), _LINE))
    requests = canary_requests(release)
    if release.state is State.OPEN or requests is None:
        return line
    reached = "no request" if requests == 0 else "1 request" if requests == 1 else f"{plain(requests)} requests"
    return f"{line}; {reached} reached it"
