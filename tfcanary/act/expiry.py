"""ACT: what nobody needs any more leaves the bucket once a release has ended.

Of the ended releases the plan's `bucket.keep_releases` newest keep their states, traces and polls, so that they can be replayed; the
claims of versions whose files are gone stay as long. A release is old only where the record's history names it, and an object is
removed only where its name has exactly the form in which it is written, and over the very generation that was listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tfcanary.act import ledger, push
from tfcanary.core.ports import Blob, Platform
from tfcanary.core.record import Record

KEPT_OF_A_RELEASE = re.compile(r"(?:releases/(?P<of_state>[^/]+)/[0-9]{8}\.json|(?:traces|polls)/(?P<of_reel>[^/]+)/[0-9]{8}\.z)")
"""A state, or a reel: below the model's folder."""
SIGNED_VERDICT = re.compile(r"verdicts/([0-9]{1,16})\.json")
"""A signed verdict (`act/signed_verdict.py`): below the model's folder."""


def expire(platform: Platform, keep: int) -> None:
    """Remove what belongs to ended releases but the `keep` newest. May be repeated; raises Unavailable, Refused or Conflict."""
    # The listing first: whatever has begun since then is none of the record's old releases.
    blobs = platform.storage.list(f"{platform.model}/")
    record = ledger.read(platform)
    old = (*_of_old_releases(record, blobs, keep), *_of_old_claims(platform, record, blobs, keep), *_of_old_verdicts(record, blobs, keep))
    for blob in old:
        platform.storage.delete(blob.name, if_generation=blob.generation)


def _of_old_releases(record: Record, blobs: Iterable[Blob], keep: int) -> Iterator[Blob]:
    current = record.release.run_id if record.release else ""
    old = {ended.run_id for ended in record.history[: -(keep - 1) or None]} - {current}
    for blob in blobs:
        found = KEPT_OF_A_RELEASE.fullmatch(blob.name.removeprefix(f"{record.model}/"))
        if found and (found["of_state"] or found["of_reel"]) in old:
            yield blob


def _of_old_verdicts(record: Record, blobs: Iterable[Blob], keep: int) -> Iterator[Blob]:
    """The signed verdicts of versions that the record has forgotten, or that have left the last releases of its history."""
    kept = {version.number for version in (record.stable, *record.previous) if version} | {one.version for one in record.history[-keep:]}
    for blob in blobs:
        found = SIGNED_VERDICT.fullmatch(blob.name.removeprefix(f"{record.model}/"))
        if found and record.stable and int(found[1]) < record.stable.number and int(found[1]) not in kept:
            yield blob


def _of_old_claims(platform: Platform, record: Record, blobs: Iterable[Blob], keep: int) -> Iterator[Blob]:
    """The claims of versions that can never be asked for again, each after its marks.

    A number stays claimed while it is not below the stable one (numbers are given from the highest on), while files lie under it, while
    the record names it or servers run it, and while its push may be on its way.
    """
    if record.stable is None:
        return
    there = push.versions_in(blobs, record.model)
    named = {record.stable.number, *(version.number for version in record.previous), *(one.version for one in record.history[-keep:])}
    named |= {record.release.candidate.number} if record.release and record.release.candidate else set()
    running = {pool.number for pool in platform.deployer.observe().servers}
    for number in sorted(there.claims)[:-keep]:
        if number < record.stable.number and number not in named | running | there.folders and push.is_sealed(platform, number):
            yield from (*there.marks.get(number, ()), there.claims[number])
