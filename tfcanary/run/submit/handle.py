"""A release from Python: check it, submit it, follow it, show it, stop it.

`tfcanary.release` is the function below; the command line and notebooks are thin layers over it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tfcanary import adapters, report
from tfcanary.act import ledger, push, rollback
from tfcanary.adapters.kube.pod_patch import shared_claim
from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.domain import Verdict
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release
from tfcanary.core.retry import Pauses, attempts
from tfcanary.look import savedmodel
from tfcanary.report.plots.markup import element
from tfcanary.run import steps
from tfcanary.run.submit import Run, Submission, check_image, start
from tfcanary.run.submit import progress as live
from tfcanary.run.submit.host_auth import HostAuth, read_auth
from tfcanary.run.submit.pages import ReleaseReport, frame
from tfcanary.run.submit.parameters import check_size, run_parameters
from tfcanary.run.submit.snapshots import REFRESH, Snapshot, SnapshotReader, read_timeline

LOG = logging.getLogger(__name__)
T = TypeVar("T")
RUNS = Path(".tfcanary") / "runs"
"""The folder below the working directory in which a local run keeps its log and its artifacts."""
PATIENCE = 600.0
"""Seconds for which a cluster may be unreachable before following its release ends: one bad minute must not end hours of waiting."""
PAUSES = Pauses(first=10.0, longest=10.0, jitter=(1.0, 1.0), at_deadline=True)
"""Between two attempts to ask a cluster that could not be reached."""
CLOSING = timedelta(seconds=120)
"""How long a pipeline may take after its release has ended: its last steps write pages. It is not waited for any longer."""
BESIDE_TRIAL = 1024
"""MiB that the step `validate_savedmodel` may use beside the process that loads the models, which has the plan's `validation.memory_mib`."""
LEAST_MEMORY = 2048
"""MiB that the package requests for that step: its limit must not be lower."""
HEAD = 320
"""Pixels that the head of a page needs, in a notebook's column."""


@dataclass(frozen=True, slots=True, repr=False)
class Handle:
    """A submitted release. In a notebook it shows where the release stands: state, stage, weight and the reason."""

    platform: Platform
    plan: Plan
    run: Run
    remote: bool
    """Whether the pipeline runs on a KFP host."""
    run_id: str
    """The id of the release, made before its submission: only this release is followed, shown and stopped."""

    def follow(self) -> Iterator[Snapshot]:
        """Yield a snapshot of the release about once a second, until the release has ended in the record.

        A pipeline that ends earlier, because somebody terminated it or a step of it failed, ends no release: its guard does. Raises
        Unavailable where the pipeline ended before the release began, where it ended and nobody is left to end the release, and
        where a cluster cannot be reached for PATIENCE; the record stays as it is then.
        """
        last_sign, warned, reader = self.platform.clock.now(), False, SnapshotReader(self.platform)
        while True:
            # The record is read last: so a release that began at the last moment is not overlooked.
            result, snapshot = self._retry_unavailable(lambda: (self.run.result(), self._of_ours(reader)))
            now = self.platform.clock.now()
            if snapshot is not None:
                yield snapshot
            elif result is not None:
                raise Unavailable(f"the pipeline ended before the release began: {self._why_not_begun()}see {self.run.describe()}")
            release = snapshot.release if snapshot else None
            if release and release.state.ended and (result is not None or now - (release.ended or now) >= CLOSING):
                return
            if result is None or release is None or release.state.ended:
                last_sign = now
            else:
                last_sign = max(
                    [last_sign, *(at for at in (release.holder and release.holder.until, release.beat and release.beat.at) if at)]
                )
                if now - last_sign > timedelta(seconds=PATIENCE):
                    raise Unavailable(f"the pipeline has ended, and nobody ends its release: tfcanary abort {self.platform.model}")
                if not warned:
                    LOG.warning("the pipeline has ended before its release, which its guard ends: see %s", self.run.describe())
                    warned = True
            self.platform.clock.sleep(REFRESH)

    def wait(self, progress: bool = True) -> Release:
        """Wait until the release has ended; returns it as it ended. Raises Unavailable as `follow` does.

        With `progress` it shows how far the release is: as a picture in a notebook or a terminal, else line by line.
        An interrupt ends the waiting and not the release; `abort` ends the release.
        """
        if progress:
            last = live.show(self.follow(), self.platform.clock)
        else:
            *_, last = self.follow()
        if self.has_failed():
            LOG.warning("a step of the pipeline failed: see %s", self.run.describe())
        return last.release

    def has_failed(self) -> bool:
        """Return whether the pipeline has ended with a failed step. Raises Unavailable."""
        return self._retry_unavailable(self.run.result) is False

    def snapshot(self) -> Snapshot | None:
        """Read where the release stands now; None while the record does not hold this release. Raises Unavailable."""
        return self._of_ours(SnapshotReader(self.platform))

    def _of_ours(self, reader: SnapshotReader) -> Snapshot | None:
        current = reader.read()
        return current if current and current.release.run_id == self.run_id else None

    @property
    def verdict(self) -> Verdict | None:
        """The judge's last verdict, read now; None before the first one, and where a gate refused the candidate. Raises Unavailable."""
        snapshot = self.snapshot()
        if snapshot is None:
            return None
        if snapshot.checkpoint and not snapshot.release.state.ended and (polled := snapshot.checkpoint.verdict):
            return polled
        return report.last_verdict(snapshot.release)

    @property
    def report(self) -> ReleaseReport:
        """The release's report as it is now; in a notebook it shows itself. Raises Unavailable where the release has not begun."""
        snapshot = self.snapshot()
        if snapshot is None:
            raise Unavailable(self._not_begun())
        step = steps.Step(self.platform, self.plan, snapshot.release.run_id)
        return ReleaseReport(snapshot.record, read_timeline(self.platform, snapshot), steps.release_signatures(step))

    def abort(self, reason: str) -> Release | None:
        """Give all traffic to the stable version, then stop the pipeline; returns the ended release, None where none had begun."""
        self._roll_back(reason)
        self.run.stop()
        # The release may have begun between the two calls above.
        return self._roll_back(reason)

    def _roll_back(self, reason: str) -> Release | None:
        return rollback.roll_back(self.platform, self.run_id, reason)

    def _retry_unavailable(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer or PATIENCE is over; on this machine only once, because whatever does not answer there is gone."""
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

    def _why_not_begun(self) -> str:
        """The refusal in the record, or what the local run's log says, as the beginning of a sentence; empty where neither is known."""
        refusal = ledger.read(self.platform).refusal(self.run_id)
        why = refusal.reason if refusal else self.run.failure()
        return f"{why}; " if why else ""

    def _not_begun(self) -> str:
        return f"{self.platform.model}: the release has not begun yet; see {self.run.describe()}"

    def __repr__(self) -> str:
        return f"<release of {self.platform.model}: {self.run.describe()}>"

    def _repr_html_(self) -> str:
        snapshot = self.snapshot()
        return frame(ReleaseReport(snapshot.record, brief=True).html, HEAD) if snapshot else element("p", self._not_begun()).text

    def _repr_markdown_(self) -> str:
        snapshot = self.snapshot()
        return ReleaseReport(snapshot.record, brief=True).markdown if snapshot else self._not_begun()


def read_plan(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    """Return a plan unchanged, or decode one from a mapping or from a YAML or JSON file; raises Refused naming the wrong place."""
    if isinstance(plan, Plan):
        return plan
    at, document = ("plan", plan) if isinstance(plan, Mapping) else (str(plan), read_document(Path(plan)))
    if document is None:
        LOG.warning("%s: is empty, which is a plan of the defaults", at)
    decoded: Plan = codec.decode(Plan, {} if document is None else document, at=at)
    return decoded


def _with_texts(plan: Plan, **texts: str) -> Plan:
    """The plan with those of these texts that are not empty; it is decoded again, because they may come from an event."""
    given = {name: value for name, value in texts.items() if value}
    return read_plan({**codec.encode(plan), **given}) if given else plan


def release(
    model: str | Path,
    name: str,
    plan: Plan | Mapping[str, Any] | str | Path,
    platform: str = "",
    host: str = "",
    image: str = "",
    service_account: str = "",
    host_ui: str = "",
    host_auth: HostAuth | Mapping[str, Any] | str | Path | None = None,
    release_id: str = "",
    commit: str = "",
    training_run: str = "",
    override_window: str = "",
) -> Handle:
    """Check what can be checked from this machine, then submit the pipeline `canary_release`.

    Args:
        model: The exported SavedModel: a directory, a gs:// or an s3:// URI.
        name: The name under which TensorFlow Serving serves the model.
        plan: The release plan: a Plan, a mapping with its fields, or a YAML or JSON file.
        platform: kube://<namespace> or local:///<state folder>; empty means $TFCANARY_PLATFORM, else local://$PWD/.tfcanary.
        host: The endpoint of a Kubeflow Pipelines API; empty means that the pipeline runs on this machine.
        image: The image in which the steps run on that host; may be empty where the package was compiled for an image.
        service_account: The Kubernetes service account of the steps on that host; empty means the host's default account.
        host_ui: The address at which people open that host's pages; empty means `host`.
        host_auth: The credentials for that host: a HostAuth, a mapping with its fields, or a YAML or JSON file. Without them a pod uses
            the token that Kubeflow has mounted into it.
        release_id: A name of your own for this release, used once; empty means that one is made.
        commit: The commit of the training code, in place of the plan's `commit`.
        training_run: The run that trained the model, in place of the plan's `training_run`.
        override_window: Why weights may rise outside the plan's `windows` and in its `freeze`; empty means that they may not.

    Raises Refused (a path that is no SavedModel, or one that Kubernetes would change; no stable version and no `bootstrap: true`; no
    image, or a plan too large, for the host), Held (another release is active) and Unavailable.
    """
    decoded = _with_texts(read_plan(plan), commit=commit, training_run=training_run, override_window=override_window)
    platform = platform or adapters.default_platform()
    auth = read_auth(host_auth)
    uri = steps.candidate_uri(model)
    release_id = release_id or f"{name}-{secrets.token_hex(6)}"
    parameters = {**run_parameters(uri, name, platform, decoded), "release_id": release_id}
    if host:
        check_image(image)
        check_size(parameters)
    bound = adapters.open_platform(platform, name, decoded)
    record = ledger.check(bound, decoded, release_id)
    if "://" not in uri:
        push.refuse_stable(record, savedmodel.manifest(Path(uri)).digest)
    memory = {"validate_savedmodel": max(decoded.validation.memory_mib + BESIDE_TRIAL, LEAST_MEMORY)}
    claim = shared_claim(decoded.serving.pod_patch, decoded.bucket.canary)
    run = start(Submission("canary_release", parameters, RUNS, host, host_ui, auth, image, service_account, memory, claim))
    return Handle(bound, decoded, run, bool(host), release_id)
