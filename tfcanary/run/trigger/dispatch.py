"""The dispatcher of one model: while no release is active, it claims the turn of the next candidate and submits its pipeline.

Any number of dispatchers may look at one record, in any number of processes: the claim is written by compare and swap before
anything is submitted, and only its writer submits.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from tfcanary.act import ledger, queue
from tfcanary.core.errors import Held, Refused, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Fate, Waiting
from tfcanary.run.submit import Run, handle
from tfcanary.run.trigger import offer
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts

LONGEST_PAUSE = 300.0
"""The longest pause in seconds between two tries to reach a host or a platform; each failure doubles the pause, up to this."""
INCOMPLETE = 3600.0
"""Seconds after which a version that is still incomplete is dropped: a copy that takes longer was given up."""

log = logging.getLogger("tfcanary.run.trigger")


def always_complete(uri: str) -> bool:
    """Return true for every version: for a dispatcher whose candidates were exported by its own process."""
    return True


@dataclass(slots=True)
class Dispatcher:
    """Submits the candidates of one model, one at a time; a dispatcher is not to be shared by threads."""

    platform: Platform
    plan: Plan
    target: Target
    counts: Counts
    is_complete: Callable[[str], bool] = always_complete
    """Returns whether all files of the version at a URI are there."""
    runs: dict[str, Run] = field(default_factory=dict)
    """The pipelines that were submitted here, by their candidate's event, until their releases have begun or, on this machine, they end."""

    @property
    def model(self) -> str:
        """The name of the model whose candidates are submitted."""
        return self.platform.model

    def look(self) -> bool:
        """Submit the candidate whose turn it is; returns whether one was submitted.

        Raises Unavailable where the platform or the host does not answer; look again later.
        """
        self._drop_failed_runs()
        record, late = offer.expire(self.platform)
        self.counts.count_dropped(self.model, late)
        self.counts.set_waiting(self.model, len(record.waiting))
        candidate = queue.next_up(record, self.platform.clock.now())
        if candidate is None or not self._check_complete(candidate):
            return False
        try:
            self._claim(candidate)
        except Held:
            return False  # another dispatcher was quicker
        return self._submit(candidate)

    def _check_complete(self, candidate: Waiting) -> bool:
        """Whether a candidate is complete; one that cannot become so is dropped."""
        try:
            complete = self.is_complete(candidate.model_uri)
        except Refused as error:
            self._drop(candidate, Fate.REFUSED, str(error))
            return False
        waited = (self.platform.clock.now() - candidate.since).total_seconds()
        if not complete and waited > INCOMPLETE:
            reason = f"{candidate.model_uri} was still incomplete {waited / 60:.0f} minutes after it was offered"
            self._drop(candidate, Fate.REFUSED, reason)
        return complete

    def _claim(self, candidate: Waiting) -> None:
        now = self.platform.clock.now()
        ledger.update(self.platform, lambda record: queue.call(record, candidate.event, now))

    def _submit(self, candidate: Waiting) -> bool:
        target = self.target
        with ExitStack() as undo:
            # Any error gives the claim back, those that nobody expects, too: else the model would be closed until the claim expires.
            undo.callback(self._give_back, candidate)
            try:
                submitted = handle.release(
                    candidate.model_uri,
                    self.model,
                    self.plan,
                    target.platform,
                    target.host,
                    target.image,
                    target.service_account,
                    target.host_ui,
                    target.host_auth,
                    queue.release_id(self.model, candidate.event),
                    candidate.commit,
                    candidate.training_run,
                )
            except Refused as error:
                undo.pop_all()
                self._drop(candidate, Fate.REFUSED, str(error))
                return False
            undo.pop_all()
        self.runs[candidate.event] = submitted.run
        page = submitted.run.describe()
        log.info("%s: %s was submitted: %s", self.model, candidate.model_uri, page)
        self.counts.count_submission(self.model)
        ledger.update(self.platform, lambda record: queue.submitted(record, candidate.event, page))
        return True

    def _give_back(self, candidate: Waiting) -> None:
        """Give the claim back, so that the candidate waits again; where the platform does not answer, the claim expires by itself."""
        now = self.platform.clock.now()
        try:
            ledger.update(self.platform, lambda record: queue.give_back(record, candidate.event, self.plan.waiting, now))
        except TfcanaryError as error:
            log.warning("%s: the claim of %s stands until its time is out: %s", self.model, candidate.model_uri, error)

    def _drop(self, candidate: Waiting, fate: Fate, reason: str) -> None:
        self.counts.count_dropped(self.model, offer.drop(self.platform, candidate, fate, reason))

    def _drop_failed_runs(self) -> None:
        """Drop a candidate whose pipeline ended before its release began, so that the next one need not wait until the claim expires."""
        record = ledger.read(self.platform) if self.runs else None
        for event, run in tuple(self.runs.items()):
            claims = record is not None and record.called is not None and record.called.candidate.event == event
            if not claims and self.target.host:
                del self.runs[event]
            elif run.result() is not None:
                del self.runs[event]
                if record and record.called and claims:
                    refusal = record.refusal(queue.release_id(self.model, event))
                    why = refusal.reason if refusal else run.failure()
                    reason = f"its pipeline ended before its release began: {f'{why}; ' if why else ''}see {run.describe()}"
                    self._drop(record.called.candidate, Fate.REFUSED, reason)


class DispatcherThread(threading.Thread):
    """Lets one dispatcher look again and again, in a thread of its own, so that one that hangs holds up no other model."""

    def __init__(self, dispatcher: Dispatcher, every: float, before: Callable[[Platform], object] = lambda _: None) -> None:
        super().__init__(name=f"dispatcher of {dispatcher.model}", daemon=True)
        self.dispatcher = dispatcher
        self.every = every
        """Seconds between two looks."""
        self.before = before
        """Called before each look."""
        self.failures = 0
        """The number of looks in a row that failed because a platform or a host did not answer."""
        self._awake = threading.Event()
        self._over = threading.Event()
        self._last_warning = ""

    def run(self) -> None:
        """Look again and again until `stop`."""
        while not self._over.is_set():
            pause = self.step()
            if self.failures:
                self._over.wait(pause)
            else:
                self._awake.wait(pause)
                self._awake.clear()

    def step(self) -> float:
        """Look once; returns the seconds until the next look."""
        try:
            self.before(self.dispatcher.platform)
            self.dispatcher.look()
        except Held as error:
            self._warn(error)
        except TfcanaryError as error:
            self._warn(error)
            self.failures += 1
            return min(self.every * 2.0 ** min(self.failures, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        else:
            self._last_warning = ""
        self.failures = 0
        return self.every

    def wake(self) -> None:
        """Let the next look come at once, because a candidate was offered."""
        self._awake.set()

    def stop(self) -> None:
        """Ask the thread to end after its present look; it does not wait for the end."""
        self._over.set()
        self._awake.set()

    def _warn(self, error: TfcanaryError) -> None:
        """Log an error once, and not again at every look that fails for the same reason."""
        if self._last_warning != str(error):
            log.warning("%s: %s; asked again", self.dispatcher.model, error)
            self._last_warning = str(error)
