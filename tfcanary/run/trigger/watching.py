"""`tfcanary trigger watch`: looks into a folder for complete new versions and offers them, where nobody sends events.

What was offered is in the record (`heard`), so a restart offers nothing twice. At the first start what lies there already is taken
as known: nobody can tell from its name whether it was released.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfcanary import adapters
from tfcanary.act import ledger, queue
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan, WaitingPolicy
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Waiting
from tfcanary.run.trigger import offer, uris
from tfcanary.run.trigger.dispatch import Dispatcher, Rounds
from tfcanary.run.trigger.serving import finish
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness, Version

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Folder:
    """A folder of versions, and the model that they are of."""

    uri: str
    plan: Plan
    completeness: Completeness
    existing: bool = False
    """At the first start, the newest version that lies there already is offered, too."""

    def look(self, platform: Platform) -> int:
        """Offer the complete versions that are newer than the last one that was heard of; returns how many were."""
        found = self.completeness.complete(self.uri)
        if not found:
            return 0
        record = ledger.read(platform)
        fresh = self._after_the_last_heard(found, record)
        if fresh is None and not self.existing:
            self._note(platform, found[-1])
            return 0
        newest_only = fresh is None or self.plan.waiting is WaitingPolicy.NEWEST
        chosen = (found if fresh is None else fresh)[-1:] if newest_only else fresh
        for version in chosen or ():
            offer.offer(platform, self.candidate(version, platform), self.plan)
        return len(chosen or ())

    def _after_the_last_heard(self, found: Sequence[Version], record: Record) -> Sequence[Version] | None:
        """None where none was heard of: this is the first look."""
        heard = [i for i, version in enumerate(found) if self._event(version) in record.heard]
        return found[heard[-1] + 1 :] if heard else None

    def _note(self, platform: Platform, version: Version) -> None:
        event = self._event(version)
        log.info("%s: what lies in %s until now is taken as known; the newest is %s", platform.model, self.uri, version.name)
        ledger.update(platform, lambda record: replace(record, heard=(*record.heard, event)[-queue.HEARD :]))

    def _event(self, version: Version) -> str:
        return queue.identity("watch", f"{self.uri}/{version.name}")

    def candidate(self, version: Version, platform: Platform) -> Waiting:
        """A version as it is offered."""
        return Waiting(self._event(version), uris.normalised(f"{self.uri}/{version.name}"), platform.clock.now())


def newest(folder: Folder, platform: Platform) -> Waiting | None:
    """The newest complete version of a folder as a candidate; None where there is none yet."""
    found = folder.completeness.complete(folder.uri)
    return folder.candidate(found[-1], platform) if found else None


def watch(folder: Folder, model: str, target: Target, every: float) -> None:
    """Look until the process is told to end. Raises Refused for a URI that is none, Unavailable where the watch ends by itself."""
    folder = replace(folder, uri=uris.normalised(folder.uri))
    platform = adapters.open_platform(target.platform, model, folder.plan)
    # Another one than the folder's: each remembers only what it was asked about.
    complete = replace(folder.completeness, seen={}).of_uri
    dispatcher = Dispatcher(platform, folder.plan, target, Counts(), complete)
    rounds = Rounds(dispatcher, every, before=folder.look)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    log.info("%s: watching %s", model, folder.uri)
    rounds.start()
    while rounds.is_alive() and not over.wait(1.0):
        pass
    finish((rounds,))
    if not over.is_set():
        raise Unavailable(f"{model}: the watch of {folder.uri} has ended by itself; its last sentence says why")
