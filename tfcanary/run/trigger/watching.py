"""`tfcanary trigger watch`: looks into a folder for complete new versions and offers them, where no events are sent.

The record holds what was offered (`heard`), so a restart offers nothing twice. At the first start the versions that lie in the folder
are taken as known, because their names do not say whether they were released.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfcanary import adapters
from tfcanary.act import ledger, queue
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan, WaitingPolicy
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Waiting
from tfcanary.run.submit import check_image
from tfcanary.run.trigger import offer, uris
from tfcanary.run.trigger.dispatch import Dispatcher, DispatcherThread
from tfcanary.run.trigger.serving import finish
from tfcanary.run.trigger.settings import Target, check_plan_size
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness, Version

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Folder:
    """A folder of one model's versions, and the plan by which they are released."""

    uri: str
    plan: Plan
    completeness: Completeness
    existing: bool = False
    """Whether the newest version that lies there at the first start is offered, too."""

    def offer_new(self, platform: Platform) -> int:
        """Offer the complete versions that are newer than the last one that was offered; returns their number. Raises Unavailable."""
        versions = self.completeness.complete_versions(self.uri)
        if not versions:
            return 0
        record = ledger.read(platform)
        fresh = self._after_last_offered(versions, record)
        if fresh is None and not self.existing:
            self._take_as_known(platform, versions[-1])
            return 0
        newest_only = fresh is None or self.plan.waiting is WaitingPolicy.NEWEST
        selected = (versions if fresh is None else fresh)[-1:] if newest_only else fresh
        for version in selected or ():
            offer.offer(platform, self.candidate(version, platform), self.plan)
        return len(selected or ())

    def _after_last_offered(self, versions: Sequence[Version], record: Record) -> Sequence[Version] | None:
        """The versions after the last one that the record knows; None where it knows none, so that this is the first look."""
        offered = [i for i, version in enumerate(versions) if self._event(version) in record.heard]
        return versions[offered[-1] + 1 :] if offered else None

    def _take_as_known(self, platform: Platform, version: Version) -> None:
        event = self._event(version)
        log.info("%s: what lies in %s until now is taken as known; the newest is %s", platform.model, self.uri, version.name)
        ledger.update(platform, lambda record: replace(record, heard=(*record.heard, event)[-queue.HEARD :]))

    def _event(self, version: Version) -> str:
        return queue.identity("watch", f"{self.uri}/{version.name}")

    def candidate(self, version: Version, platform: Platform) -> Waiting:
        """Return a version of this folder as a candidate; raises Refused where its name is not plain."""
        return Waiting(self._event(version), uris.normalise(f"{self.uri}/{version.name}"), platform.clock.now())


def newest(folder: Folder, platform: Platform) -> Waiting | None:
    """Return the newest complete version of a folder as a candidate; None where there is none yet. Raises Refused, Unavailable."""
    versions = folder.completeness.complete_versions(folder.uri)
    return folder.candidate(versions[-1], platform) if versions else None


def watch(folder: Folder, model: str, target: Target, every: float) -> None:
    """Look into a folder every `every` seconds, and release what is new, until SIGINT or SIGTERM.

    Raises Refused where the folder's URI is none, no image is named for the host or the plan is too large for it, Unavailable where the watch ends without a signal.
    """
    folder = replace(folder, uri=uris.normalise(folder.uri))
    if target.host:
        check_image(target.image)
        check_plan_size(folder.uri, model, target.platform, folder.plan)
    platform = adapters.open_platform(target.platform, model, folder.plan)
    # The dispatcher has a Completeness of its own, because each remembers only the versions that it was asked about.
    is_complete = replace(folder.completeness, history={}).is_complete_uri
    dispatcher = Dispatcher(platform, folder.plan, target, Counts(), is_complete)
    thread = DispatcherThread(dispatcher, every, before=folder.offer_new)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    if "://" not in folder.uri and not Path(folder.uri).is_dir():
        log.warning("%s: is no folder on this machine yet; versions are released once it is there", folder.uri)
    log.info("%s: watching %s", model, folder.uri)
    thread.start()
    while thread.is_alive() and not over.wait(1.0):
        pass
    finish((thread,))
    if not over.is_set():
        raise Unavailable(f"{model}: the watch of {folder.uri} has ended by itself; its last sentence says why")
