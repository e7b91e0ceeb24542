"""The live pages: those of the reports, with what a release waits for and the orders that a person may give."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core.record import Record, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import Cell, Code, Facts, Paragraph, ReportPage, Section
from tfcanary.report.numbers import clock, moment
from tfcanary.report.of_release import release_page
from tfcanary.run.submit.current_wait import wait
from tfcanary.run.submit.time_left import bounds, forecast, time_left


def model_page(record: Record, kept: Checkpoint | None, timeline: Timeline | None, platform_uri: str, now: datetime) -> ReportPage:
    """Return the page of a model's active or last release as it is now; `kept` is its last poll, `timeline` all of them."""
    page = release_page(record, timeline)
    release = record.active
    if release is None:
        return page
    standing = Section("Now", (Facts(tuple(_standing(release, kept, now))),))
    orders = Section("Orders", (Paragraph(_ORDERS, quiet=True), Facts(tuple(_orders(release, record.model, platform_uri)))))
    return replace(page, sections=(standing, *page.sections, orders))


_ORDERS = "This page changes nothing. A person who may write the record gives an order by one of these commands."


def _standing(release: Release, kept: Checkpoint | None, now: datetime) -> Iterator[tuple[str, Cell]]:
    outline = kept.timeline if kept else None
    if waits := wait(release, outline, now):
        yield "waits for", waits.what
        yield "since", moment(waits.since)
        if waits.until:
            yield "at the latest until", f"{moment(waits.until)}{f': {waits.then}' if waits.then else ''}"
    if left := time_left(release, outline, now):
        yield f"stage ends, seen at {clock(now)} UTC", bounds(left)
        if probable := forecast(left):
            yield "promotion", probable
    if kept and release.state is State.WATCHED:
        yield "verdict so far", f"{kept.verdict.decision.value}: {kept.verdict.reason}"
    yield "guard's last beat", moment(release.beat.at) if release.beat else "none yet"


def _orders(release: Release, model: str, platform_uri: str) -> Iterator[tuple[str, Cell]]:
    def command(verb: str, reason: str = "") -> Code:
        said = ("--reason", reason) if reason else ()
        return Code(shlex.join(["tfcanary", verb, model, "--platform", platform_uri, *said]))

    if release.waits_for_window:
        yield "let weights rise now", command("override-window", "<why>")
    elif release.pause and release.pause.approval:
        yield "approve the stage", command("approve", "<why>")
        yield "reject it", command("reject", "<why>")
    elif release.pause:
        yield "resume", command("resume", "<why>")
    elif release.state is State.WATCHED:
        yield "pause", command("pause", "<why>")
    yield "roll back", command("abort", "<why>")
    yield "follow in a terminal", Code(shlex.join(["tfcanary", "status", model, "--watch", "--platform", platform_uri]))
