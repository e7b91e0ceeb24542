"""The dispatcher of one model: when the road is free, it claims it for whoever's turn it is and submits the pipeline.

Any number of them may look at one record, in any number of processes: the claim is written by compare and swap before
anything is submitted, and only its writer submits.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tfcanary.act import ledger, queue
from tfcanary.core.errors import Conflict, Held, Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Fate, Waiting
from tfcanary.run.submit import Run, handle
from tfcanary.run.trigger import offer
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts

LONGEST_PAUSE = 300.0
"""Seconds between two tries to reach whoever does not answer: doubled from one look to the next up to here."""
INCOMPLETE = 3600.0
"""Seconds for which a version may remain incomplete after it was offered: a copy that takes longer was given up."""

log = logging.getLogger("tfcanary.run.trigger")


def everything(uri: str) -> bool:
    """Every version is complete: for whoever has made it himself."""
    return True


@dataclass(slots=True)
class Dispatcher:
    """Looks; not safe to be shared by threads."""

    platform: Platform
    plan: Plan
    target: Target
    counts: Counts
    complete: Callable[[str], bool] = everything
    """Whether the version at a URI is there as a whole."""
    runs: dict[str, Run] = field(default_factory=dict)
    """Pipelines that were submitted here, by their candidate's event, until nothing more is to be known of them."""

    @property
    def model(self) -> str:
        """Whose road it is."""
        return self.platform.model

    def look(self) -> bool:
        """Submit whoever's turn it is; returns whether anybody was. Raises Unavailable where somebody does not answer: look again later."""
        self._ended()
        record, late = offer.expire(self.platform)
        self.counts.dropped(self.model, late)
        self.counts.waiting(self.model, len(record.waiting))
        candidate = queue.next_up(record, self.platform.clock.now())
        if candidate is None or not self._is_complete(candidate):
            return False
        try:
            self._claim(candidate)
        except Held:
            return False  # somebody else was quicker
        return self._submit(candidate)

    def _is_complete(self, candidate: Waiting) -> bool:
        try:
            complete = self.complete(candidate.model_uri)
        except Refused as error:
            self._drop(candidate, Fate.REFUSED, str(error))
            return False
        waited = (self.platform.clock.now() - candidate.since).total_seconds()
        if not complete and waited > INCOMPLETE:
            self._drop(
                candidate, Fate.REFUSED, f"{candidate.model_uri} was still incomplete {waited / 60:.0f} minutes after it was offered"
            )
        return complete

    def _claim(self, candidate: Waiting) -> None:
        now = self.platform.clock.now()
        ledger.update(self.platform, lambda record: queue.call(record, candidate.event, now))

    def _submit(self, candidate: Waiting) -> bool:
        target = self.target
        try:
            submitted = handle.release(
                candidate.model_uri, self.model, self.plan, target.platform, target.host, target.image, target.service_account
            )
        except Refused as error:
            self._drop(candidate, Fate.REFUSED, str(error))
            return False
        except (Unavailable, Conflict):
            self._give_back(candidate)
            raise
        self.runs[candidate.event] = submitted.run
        page = submitted.run.describe()
        log.info("%s: %s was submitted: %s", self.model, candidate.model_uri, page)
        self.counts.submitted(self.model)
        ledger.update(self.platform, lambda record: queue.submitted(record, candidate.event, page))
        return True

    def _give_back(self, candidate: Waiting) -> None:
        """Best effort: where the platform does not answer either, the claim runs out by itself."""
        now = self.platform.clock.now()
        try:
            ledger.update(self.platform, lambda record: queue.give_back(record, candidate.event, self.plan.waiting, now))
        except TfcanaryError as error:
            log.warning("%s: the claim of %s stands until its time is out: %s", self.model, candidate.model_uri, error)

    def _drop(self, candidate: Waiting, fate: Fate, reason: str) -> None:
        self.counts.dropped(self.model, offer.drop(self.platform, candidate, fate, reason))

    def _ended(self) -> None:
        """A pipeline that ended before its release began frees the road at once, not when its claim runs out."""
        record = ledger.read(self.platform) if self.runs else None
        for event, run in tuple(self.runs.items()):
            claims = record is not None and record.called is not None and record.called.candidate.event == event
            if not claims and self.target.host:
                del self.runs[event]
            elif run.finished() is not None:
                del self.runs[event]
                if record and record.called and claims:
                    reason = f"its pipeline ended before its release began: see {run.describe()}"
                    self._drop(record.called.candidate, Fate.REFUSED, reason)


class Rounds(threading.Thread):
    """Lets one dispatcher look again and again, in a thread of its own: one that hangs holds up no other model."""

    def __init__(self, dispatcher: Dispatcher, every: float, before: Callable[[Platform], object] = lambda _: None) -> None:
        super().__init__(name=f"dispatcher of {dispatcher.model}", daemon=True)
        self.dispatcher = dispatcher
        self.every = every
        self.before = before
        """Called ahead of each look."""
        self.failures = 0
        """Looks in a row to which somebody did not answer."""
        self._awake = threading.Event()
        self._over = threading.Event()
        self._said = ""

    def run(self) -> None:
        """Until `stop`."""
        while not self._over.is_set():
            pause = self.step()
            if self.failures:
                self._over.wait(pause)
            else:
                self._awake.wait(pause)
                self._awake.clear()

    def step(self) -> float:
        """One look; returns the seconds until the next one."""
        try:
            self.before(self.dispatcher.platform)
            self.dispatcher.look()
        except Held as error:
            self._tell(error)
        except TfcanaryError as error:
            self._tell(error)
            self.failures += 1
            return min(self.every * 2.0 ** min(self.failures, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        else:
            self._said = ""
        self.failures = 0
        return self.every

    def wake(self) -> None:
        """Somebody was offered: look at once."""
        self._awake.set()

    def stop(self) -> None:
        """End after the present look."""
        self._over.set()
        self._awake.set()

    def _tell(self, error: TfcanaryError) -> None:
        """Once, not at every look."""
        if self._said != str(error):
            log.warning("%s: %s; asked again", self.dispatcher.model, error)
            self._said = str(error)
