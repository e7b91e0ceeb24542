"""A release from outside the pipeline: submit it, follow its record, stop it. The command line is a thin layer over this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfcanary import codec, platforms, savedmodel
from tfcanary.acts import checkpoint, ledger, push, rollback
from tfcanary.acts.checkpoint import Checkpoint
from tfcanary.errors import Unavailable
from tfcanary.plan import Plan
from tfcanary.ports import Platform
from tfcanary.record import Record, Release
from tfcanary.report import Timeline
from tfcanary.submit import Run, Submission, start

RUNS = Path(".tfcanary") / "runs"
"""Where a local run keeps its log and artifacts, below the working directory."""
REFRESH = 1.0
"""Seconds between two looks at the record."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far a release is."""

    record: Record
    release: Release
    seen: Checkpoint | None
    """The last poll's verdict and the timeline; None before the first poll."""

    @property
    def timeline(self) -> Timeline | None:
        """What was seen at every poll so far."""
        return self.seen.timeline if self.seen else None


@dataclass(frozen=True, slots=True)
class Handle:
    """A submitted release."""

    platform: Platform
    plan: Plan
    run: Run
    remote: bool
    before: str
    """The run id of the release that the record held before."""

    def follow(self) -> Iterator[Snapshot]:
        """The release as it goes on, about once a second, until its pipeline has ended. Raises Unavailable where it ended before it began."""
        while True:
            finished = self.run.finished()
            if (seen := self.snapshot()) is not None:
                yield seen
            if finished is not None:
                break
            self.platform.clock.sleep(REFRESH)
        if self.snapshot() is None:
            raise Unavailable(f"the pipeline ended before the release began: see {self.run.describe()}")

    def wait(self) -> Release:
        """Wait for the pipeline's end; returns the release as it ended."""
        *_, last = self.follow()
        return last.release

    def snapshot(self) -> Snapshot | None:
        """The record and what was seen so far; None while the record does not show this release."""
        found = look(self.platform)
        return None if found is None or found.release.run_id == self.before else found

    def abort(self, reason: str) -> Release | None:
        """Traffic back to the stable version first, then stop the pipeline. Returns the ended release, None where none had begun."""
        self._roll_back(reason)
        self.run.stop()
        # The release may have begun between the two.
        return self._roll_back(reason)

    def _roll_back(self, reason: str) -> Release | None:
        seen = self.snapshot()
        return rollback.roll_back(self.platform, seen.release.run_id, reason) if seen else None


def look(platform: Platform) -> Snapshot | None:
    """How far the release in the record is; None where there never was one."""
    record = ledger.read(platform)
    return Snapshot(record, record.release, checkpoint.load(platform, record.release)) if record.release else None


def watching(platform: Platform) -> Iterator[Snapshot]:
    """The release in the record as it goes on, about once a second, until it has ended; whoever submitted it."""
    while (seen := look(platform)) is not None:
        yield seen
        if seen.release.state.ended:
            return
        platform.clock.sleep(REFRESH)


def release(model: str, name: str, plan: Plan, platform: str, host: str = "", image: str = "", service_account: str = "") -> Handle:
    """Check what can be checked from here, then submit the pipeline `canary_release`.

    Raises Refused (a path that is no SavedModel, no stable version and no `bootstrap: true`), Held (another release is on
    the road), Unavailable.
    """
    bound = platforms.open_platform(platform, name, plan)
    record = ledger.check(bound, plan)
    uri = model if "://" in model else str(Path(model).resolve())
    if "://" not in uri:
        push.refuse_stable(record, savedmodel.manifest(Path(uri)).digest)
    arguments = {"model_uri": uri, "model_name": name, "platform": platform, "plan": codec.brief(plan)}
    run = start(Submission("canary_release", arguments, RUNS, host, image, service_account))
    return Handle(bound, plan, run, bool(host), record.release.run_id if record.release else "")
