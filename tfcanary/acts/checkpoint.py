"""ACT: the judge's state and the timeline, in the bucket at every poll; the record names name and generation.

Each poll writes under a name of its own and only then asks the record to name it. Killed in between, the record
still names the poll before; of two processes that both believe to hold the release, only one gets its name in.
"""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass, replace

from tfcanary import codec
from tfcanary.acts import ledger
from tfcanary.domain import Verdict
from tfcanary.errors import Conflict, Refused
from tfcanary.ports import Platform
from tfcanary.record import Judged, Release
from tfcanary.report import Timeline


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the next process needs to go on judging."""

    judge: str
    """The judge's own JSON."""
    timeline: Timeline
    """What was seen at every poll."""
    verdict: Verdict
    """What the judge said at the last poll."""


def load(platform: Platform, release: Release) -> Checkpoint | None:
    """The state that the record names; None before the first poll. Raises Refused or Conflict where the bucket no longer holds it."""
    judged = release.judged
    while judged is not None:
        try:
            return _read(platform, judged)
        except (Refused, Conflict):
            # The poll after it may have replaced it between the two reads: then the record names another one by now.
            now = ledger.ours(ledger.read(platform), release.run_id).judged
            if now == judged:
                raise
            judged = now
    return None


def _read(platform: Platform, judged: Judged) -> Checkpoint:
    into = io.BytesIO()
    platform.storage.read(judged.name, into, generation=judged.generation)
    checkpoint: Checkpoint = codec.loads(Checkpoint, into.getvalue(), at=judged.name)
    return checkpoint


def save(platform: Platform, release: Release, checkpoint: Checkpoint) -> Release:
    """Write the state, then name it in the record. Raises Conflict where somebody else went on with this release meanwhile."""
    name = f"{platform.model}/releases/{release.run_id}/{secrets.token_hex(6)}.json"
    blob = platform.storage.write(name, codec.dumps(checkpoint).encode(), if_generation=0)

    def named(now: Release) -> Release:
        if now.judged != release.judged:
            platform.storage.delete(name)
            raise Conflict(f"release {release.run_id!r}: somebody else went on judging it")
        return replace(now, judged=Judged(name=name, generation=blob.generation))

    after = ledger.change(platform, release.run_id, named)
    if release.judged:
        platform.storage.delete(release.judged.name)
    return after
