"""ACT: servers that somebody else started become the stable version, and their model's bytes the version's identity."""

from __future__ import annotations

from pathlib import Path

from tfcanary.act import ledger, push
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record
from tfcanary.look.savedmodel import Manifest


def adopt(platform: Platform, source: Path, manifest: Manifest, number: int) -> ModelVersion:
    """Put what serves under `number` into the bucket and write it into the record as stable. May be repeated.

    Raises Refused where another version is stable already, or the bucket knows other bytes under the number.
    """
    _may_adopt(ledger.read(platform), manifest.digest)
    version = push.push(platform, source, manifest, number=number)

    def adopted(record: Record) -> Record:
        _may_adopt(record, manifest.digest)
        return record if record.stable else record.with_stable(version)

    ledger.update(platform, adopted)
    return version


def _may_adopt(record: Record, digest: str) -> None:
    if record.stable and record.stable.digest != digest:
        raise Refused(f"{record.model}: version {record.stable.number} is stable already; adopt is for a model without a release")
