"""ACT: the judge's state and the timeline, in the bucket at every poll; the record names the generation.

Whoever continues a release reads exactly the state that the record names: a watcher that lost its hold cannot
slip another one in.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from tfcanary import codec
from tfcanary.acts import ledger
from tfcanary.ports import Platform
from tfcanary.record import Judged, Release
from tfcanary.report import Timeline


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the next process needs to go on judging."""

    judge: str
    """The judge's own JSON."""
    timeline: Timeline


def load(platform: Platform, release: Release) -> Checkpoint | None:
    """The state that the record names; None before the first poll. Raises Conflict where it is another generation."""
    if release.judged is None:
        return None
    into = io.BytesIO()
    platform.storage.read(release.judged.name, into, generation=release.judged.generation)
    checkpoint: Checkpoint = codec.loads(Checkpoint, into.getvalue(), at=release.judged.name)
    return checkpoint


def save(platform: Platform, release: Release, checkpoint: Checkpoint) -> Release:
    """Write the state over the one that the record names, then name it. Raises Conflict where somebody else goes on with this release."""
    name = f"{platform.model}/releases/{release.run_id}.json"
    before = release.judged
    blob = platform.storage.write(name, codec.dumps(checkpoint).encode(), if_generation=before.generation if before else None)
    judged = Judged(name=name, generation=blob.generation)

    def named(now: Release) -> Release:
        return replace(now, judged=judged)

    return ledger.change(platform, release.run_id, named)
