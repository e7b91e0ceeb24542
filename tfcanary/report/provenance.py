"""Which bytes were released, by whose plan, and what came before."""

from __future__ import annotations

from tfcanary.core.domain import ModelVersion
from tfcanary.core.record import Ended, Record, Release
from tfcanary.report.blocks import Cell, Code, Column, Facts, Noted, Section, Table
from tfcanary.report.numbers import moment
from tfcanary.report.wording import of_state

_EARLIER = 10


def provenance_section(record: Record, release: Release) -> Section:
    """Candidate and stable by digest, run and plan."""
    rows: list[tuple[str, Cell]] = [("Candidate", _version(release.candidate))]
    rows.append(("Stable version now", _version(record.stable)))
    rows += [("Stable version before", _version(version)) for version in record.previous[:1]]
    rows += [("Run", Code(release.run_id)), ("Plan", Code(release.plan_digest))]
    if release.plan.training_data:
        rows.append(("Trained on", Code(release.plan.training_data)))
    if release.judged:
        rows.append(
            (
                "What the judge saw",
                Noted(Code(_beside(record, release, release.judged.name)), "tfcanary replay judges it again, poll by poll"),
            )
        )
    rows.append(("Written by", f"tfcanary {record.writer}"))
    return Section("What was released", (Facts(tuple(rows)),))


def _beside(record: Record, release: Release, name: str) -> str:
    """An object of the bucket in which the candidate lies."""
    uri = release.candidate.uri.rstrip("/") if release.candidate else ""
    root = uri.removesuffix(f"{record.model}/{release.candidate.number}") if release.candidate else ""
    return f"{root}{name}" if root != uri else name


def earlier_section(record: Record) -> tuple[Section, ...]:
    """The last releases before this one, newest first."""
    earlier = [e for e in record.history if record.release is None or e.run_id != record.release.run_id]
    if not earlier:
        return ()
    newest = sorted(earlier, key=lambda e: e.ended, reverse=True)[:_EARLIER]
    columns = (Column("Ended", 150), Column("Version", 76, numeric=True), Column("How", 132), Column("Why"))
    return (Section("Earlier releases", (Table(columns, tuple(_row(e) for e in newest)),)),)


def _row(ended: Ended) -> tuple[Cell, ...]:
    return moment(ended.ended), str(ended.version), of_state(ended.state), ended.reason


def _version(version: ModelVersion | None) -> Cell:
    if version is None:
        return "none"
    where = version.uri
    return Noted(Code(f"{version.number} {version.digest}"), where) if where else Code(f"{version.number}")
