"""A release from outside the pipeline: submit it, follow its record, look at it, stop it.

`tfcanary.release` is the function below; the command line and a notebook are thin layers over it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfcanary import adapters, report
from tfcanary.act import checkpoint, ledger, push, rollback
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core import codec
from tfcanary.core.domain import Verdict
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release
from tfcanary.core.retry import Pauses, attempts
from tfcanary.core.timeline import Timeline
from tfcanary.look import savedmodel
from tfcanary.report.plots.markup import element
from tfcanary.run import steps
from tfcanary.run.submit import Run, Submission, start
from tfcanary.run.submit.pages import ReleaseReport, framed

LOG = logging.getLogger(__name__)
T = TypeVar("T")
RUNS = Path(".tfcanary") / "runs"
"""Where a local run keeps its log and artifacts, below the working directory."""
REFRESH = 1.0
"""Seconds between two looks at the record."""
PATIENCE = 600.0
"""Seconds for which a cluster may not answer before waiting for a release there is given up: hours must not end by a minute's failure."""
PAUSES = Pauses(first=10.0, longest=10.0, jitter=(1.0, 1.0), at_deadline=True)
"""Between two attempts to ask a host that did not answer."""
HEAD = 320
"""Pixels that the head of a page needs, in a notebook's column."""


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


@dataclass(frozen=True, slots=True, repr=False)
class Handle:
    """A submitted release. In a notebook it shows where the release stands: state, stage, weight and why."""

    platform: Platform
    plan: Plan
    run: Run
    remote: bool
    before: str
    """The run id of the release that the record held before."""

    def follow(self) -> Iterator[Snapshot]:
        """The release as it goes on, about once a second, until its pipeline has ended.

        Raises Unavailable where it ended before the release began, or where nobody answers for PATIENCE; the release goes on then.
        """
        while True:
            finished, seen = self._patiently(lambda: (self.run.finished(), self.snapshot()))
            if seen is not None:
                yield seen
            if finished is not None:
                break
            self.platform.clock.sleep(REFRESH)
        if self.snapshot() is None:
            raise Unavailable(f"the pipeline ended before the release began: see {self.run.describe()}")

    def wait(self, progress: bool = True) -> Release:
        """Wait for the pipeline's end; returns the release as it ended. `progress` shows how far it is: in a notebook, a terminal, or line by line.

        An interrupt ends the waiting, not the release: that is what `abort` does.
        """
        from tfcanary.run.submit.progress import follow

        if progress:
            last = follow(self)
        else:
            *_, last = self.follow()
        if self.failed():
            LOG.warning("a step of the pipeline failed: see %s", self.run.describe())
        return last.release

    def failed(self) -> bool:
        """Whether the pipeline has ended with a step that failed."""
        return self._patiently(self.run.finished) is False

    def snapshot(self) -> Snapshot | None:
        """The record and what was seen so far; None while the record does not show this release."""
        found = look(self.platform)
        return None if found is None or found.release.run_id == self.before else found

    @property
    def verdict(self) -> Verdict | None:
        """What the judge said last, read now; None where it has said nothing yet, or never will, because a gate refused the candidate."""
        seen = self.snapshot()
        if seen is None:
            return None
        polled = seen.seen.verdict if seen.seen and not seen.release.state.ended else None
        return polled or report.last_verdict(seen.release)

    @property
    def report(self) -> ReleaseReport:
        """The release's page as it stands now, shown in a notebook with its pictures. Raises Unavailable where the release has not begun."""
        seen = self.snapshot()
        if seen is None:
            raise Unavailable(self._not_yet())
        step = steps.Step(self.platform, self.plan, seen.release.run_id)
        return ReleaseReport(seen.record, seen.timeline, steps.signatures(step))

    def __repr__(self) -> str:
        return f"<release of {self.platform.model}: {self.run.describe()}>"

    def _repr_html_(self) -> str:
        seen = self.snapshot()
        return framed(ReleaseReport(seen.record, brief=True).html, HEAD) if seen else element("p", self._not_yet()).text

    def _repr_markdown_(self) -> str:
        seen = self.snapshot()
        return ReleaseReport(seen.record, brief=True).markdown if seen else self._not_yet()

    def _patiently(self, ask: Callable[[], T]) -> T:
        """On this machine whoever does not answer is gone; elsewhere it is asked again."""
        failure: Unavailable | None = None
        for attempt in attempts(PAUSES, PATIENCE if self.remote else 0.0, self.platform.clock):
            try:
                return ask()
            except Unavailable as error:
                failure = error
                if attempt.number == 1 and self.remote:
                    LOG.warning("%s; the release goes on, and is asked about again", error)
        assert failure
        raise failure

    def _not_yet(self) -> str:
        return f"{self.platform.model}: the release has not begun yet; see {self.run.describe()}"

    def abort(self, reason: str) -> Release | None:
        """Traffic back to the stable version first, then stop the pipeline. Returns the ended release, None where none had begun."""
        self._roll_back(reason)
        self.run.stop()
        # The release may have begun between the two.
        return self._roll_back(reason)

    def _roll_back(self, reason: str) -> Release | None:
        seen = self.snapshot()
        return rollback.roll_back(self.platform, seen.release.run_id, reason) if seen else None


def read_plan(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    """A plan as it is, out of a mapping, or out of a YAML or JSON file; raises Refused with the place that is wrong."""
    if isinstance(plan, Plan):
        return plan
    at, document = ("plan", plan) if isinstance(plan, Mapping) else (str(plan), codec.read_document(Path(plan)))
    decoded: Plan = codec.decode(Plan, {} if document is None else document, at=at)
    return decoded


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


def release(
    model: str | Path,
    name: str,
    plan: Plan | Mapping[str, Any] | str | Path,
    platform: str = "",
    host: str = "",
    image: str = "",
    service_account: str = "",
) -> Handle:
    """Check what can be checked from here, then submit the pipeline `canary_release`.

    Args:
        model: An exported SavedModel: a directory or a gs:// URI.
        name: The name under which TensorFlow Serving serves it.
        plan: A Plan, a mapping with its fields, or a YAML or JSON file.
        platform: kube://<namespace> or local:///<state folder>; empty: $TFCANARY_PLATFORM, else local://$PWD/.tfcanary.
        host: A Kubeflow Pipelines endpoint; empty: the pipeline runs on this machine.
        image: The image in which the steps run on that host; empty: the one that the package was compiled with.
        service_account: As whom the steps run on that host; empty: the host's own.

    Raises Refused (a path that is no SavedModel, no stable version and no `bootstrap: true`), Held (another release is on
    the road), Unavailable.
    """
    asked, platform = read_plan(plan), platform or adapters.default_platform()
    bound = adapters.open_platform(platform, name, asked)
    record = ledger.check(bound, asked)
    uri = str(model) if "://" in str(model) else str(Path(model).resolve())
    if "://" not in uri:
        push.refuse_stable(record, savedmodel.manifest(Path(uri)).digest)
    arguments = {"model_uri": uri, "model_name": name, "platform": platform, "plan": codec.brief(asked)}
    run = start(Submission("canary_release", arguments, RUNS, host, image, service_account))
    return Handle(bound, asked, run, bool(host), record.release.run_id if record.release else "")
