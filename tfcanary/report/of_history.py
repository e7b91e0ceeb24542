"""The page of a model's history: the releases that have ended, the newest first."""

from __future__ import annotations

from tfcanary.core.record import Ended, Record
from tfcanary.report.blocks import Badge, Cell, ReportPage, Section, Table, TableColumn
from tfcanary.report.numbers import duration, moment, plain
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.text import cut
from tfcanary.report.wording import ended_badge, ended_candidate, ended_reason, release_line_head

_MODEL = 80
_COLUMNS = (
    TableColumn("Began", 190),
    TableColumn("Candidate"),
    TableColumn("State", 132),
    TableColumn("Duration", 110, numeric=True),
    TableColumn("Reason"),
)


def history_page(record: Record) -> ReportPage:
    """Return the page: how many releases ended in which state, then one row for each ended release, the newest first."""
    ended = ended_releases(record)
    about = f"Releases of {cut(record.model, _MODEL)}"
    states = {state: sum(one.state is state for one in ended) for state in dict.fromkeys(one.state for one in ended)}
    facts = [(state.value, plain(count)) for state, count in states.items()]
    stable = f"version {record.stable.number}" if record.stable else "none"
    answer = Badge(Tone.PLAIN, f"{plain(len(ended))} ended release{'' if len(ended) == 1 else 's'}")
    rows = tuple(_row(one) for one in ended)
    sections = (Section("Ended releases", (Table(_COLUMNS, rows),)),) if rows else ()
    active = record.active
    why = f"Active: {release_line_head(active)}." if active else "No release is active."
    return ReportPage(about, about, answer, why, (("stable version", stable), *facts), sections)


def ended_releases(record: Record) -> tuple[Ended, ...]:
    """Return the ended releases, the newest first, including the record's last release where it has ended."""
    last = record.release
    return (*((last.line,) if last and last.line else ()), *record.history[::-1])


def _row(ended: Ended) -> tuple[Cell, ...]:
    return moment(ended.began), ended_candidate(ended), ended_badge(ended), duration(ended.ended - ended.began), ended_reason(ended)
