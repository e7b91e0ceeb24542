"""The section that names the released files, the plan and the run, and the table of earlier releases."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import ModelVersion
from tfcanary.core.record import Record, Release
from tfcanary.report.blocks import Cell, CellWithNote, Code, Facts, Section, Table, TableColumn
from tfcanary.report.numbers import moment
from tfcanary.report.wording import ended_badge, ended_candidate

_EARLIER = 10


def provenance_section(record: Record, release: Release) -> Section:
    """Return a section with the candidate's export, the digests of candidate and stable version, the run and the plan."""
    rows: list[tuple[str, Cell]] = [*_export(release), ("Candidate", _version(release.candidate))]
    rows.append(("Stable version now", _version(record.stable)))
    rows += [("Stable version before", _version(version)) for version in record.previous[:1]]
    rows += [("Run", Code(release.run_id)), ("Plan", Code(release.plan_digest))]
    if release.plan.training_data:
        rows.append(("Trained on", Code(release.plan.training_data)))
    if release.judged:
        polls = Code(_beside_candidate(record, release, release.judged.name))
        rows.append(("The judge's state", CellWithNote(polls, "`tfcanary replay` judges the recorded polls again")))
    rows.append(("Written by", f"tfcanary {record.writer}"))
    return Section("What was released", (Facts(tuple(rows)),))


def _export(release: Release) -> Iterator[tuple[str, Cell]]:
    export = release.export
    if export.uri:
        yield "Export", CellWithNote(Code(export.uri), export.digest) if export.digest else Code(export.uri)
    if export.commit:
        yield "Commit", Code(export.commit)
    if export.training_run:
        yield "Training run", Code(export.training_run)


def _beside_candidate(record: Record, release: Release, name: str) -> str:
    """Return the address of an object in the bucket that holds the candidate; only its name where the bucket is not known."""
    uri = release.candidate.uri.rstrip("/") if release.candidate else ""
    root = uri.removesuffix(f"{record.model}/{release.candidate.number}") if release.candidate else ""
    return f"{root}{name}" if root != uri else name


def earlier_section(record: Record) -> tuple[Section, ...]:
    """Return a section with the last `_EARLIER` releases before this one, the newest first; no section where there are none."""
    earlier = [e for e in record.history if record.release is None or e.run_id != record.release.run_id]
    if not earlier:
        return ()
    newest = sorted(earlier, key=lambda e: e.ended, reverse=True)[:_EARLIER]
    columns = (TableColumn("Ended", 150), TableColumn("Candidate"), TableColumn("State", 132), TableColumn("Reason"))
    rows: tuple[tuple[Cell, ...], ...] = tuple((moment(e.ended), ended_candidate(e), ended_badge(e), e.reason) for e in newest)
    return (Section("Earlier releases", (Table(columns, rows),)),)


def _version(version: ModelVersion | None) -> Cell:
    if version is None:
        return "none"
    return CellWithNote(Code(f"{version.number} {version.digest}"), version.uri) if version.uri else Code(f"{version.number}")
