"""The page of all models of a platform: for each one what is stable, the active or last release, and when its guard last beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from tfcanary.core.errors import TfcanaryError
from tfcanary.core.record import Record, Release
from tfcanary.report.blocks import Badge, Cell, CellWithNote, Link, Paragraph, ReportPage, Section, Table, TableColumn
from tfcanary.report.numbers import clock, moment, plain
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.text import cut
from tfcanary.report.wording import decision_badge, last_verdict, place, release_answer

_REASON = 160
_COLUMNS = (
    TableColumn("Model", 180),
    TableColumn("Stable", 70),
    TableColumn("Release"),
    TableColumn("Canary weight", 80, numeric=True),
    TableColumn("Last verdict", 130),
    TableColumn("Guard's last beat (UTC)", 100),
)


def models_page(platform: str, found: Mapping[str, Record | TfcanaryError], link: Callable[[str], str]) -> ReportPage:
    """Return the page; models with an active release come first. `link` gives the address of a model's page."""
    active = [model for model, one in found.items() if isinstance(one, Record) and one.active]
    words = f"{plain(len(active))} active release{'' if len(active) == 1 else 's'}" if active else "No active release"
    unread = sum(isinstance(one, TfcanaryError) for one in found.values())
    problem = f"; the record of {plain(unread)} cannot be read" if unread else ""
    rows = tuple(_row(model, found[model], link(model)) for model in sorted(found, key=lambda model: (model not in active, model)))
    table = Table(_COLUMNS, rows) if rows else Paragraph("No model was released here yet.")
    return ReportPage(
        title=f"Models of {platform}",
        about=platform,
        answer=Badge(Tone.WARN if unread else Tone.PLAIN, words),
        why=f"{plain(len(found))} model{'' if len(found) == 1 else 's'} on this platform{problem}.",
        facts=(),
        sections=(Section("Models", (table,)),),
    )


def path_of(model: str) -> str:
    """Return a model's name as one part of a path."""
    return quote(model, safe="")


def _row(model: str, found: Record | TfcanaryError, href: str) -> tuple[Cell, ...]:
    name = Link(model, href)
    if isinstance(found, TfcanaryError):
        return name, "", CellWithNote(Badge(Tone.DOUBT, "unknown"), cut(str(found), _REASON)), "", "", ""
    stable = str(found.stable.number) if found.stable else "none"
    release = found.release
    if release is None:
        return name, stable, "never released", "", "", ""
    verdict = last_verdict(release)
    beat = clock(release.beat.at) if release.beat and not release.state.ended else ""
    return name, stable, _release(release), f"{release.weight} %", decision_badge(verdict) if verdict else "", beat


def _release(release: Release) -> Cell:
    version = f"version {release.candidate.number} " if release.candidate else ""
    badge = Badge(release_answer(release).tone, f"{version}{release.state.value}")
    if release.state.ended:
        return CellWithNote(badge, f"{moment(release.ended or release.began)}: {cut(release.reason, _REASON)}")
    return CellWithNote(badge, f"{place(release)} since {moment(release.stage_began or release.began)}".strip())
