"""`guard`: watches when no step does. One release's own, started by the deployment of its canary; or one for all releases of a platform."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import click

from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.cli import options
from tfcanary.core.errors import Held, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State
from tfcanary.run import monitor, steps, watch

log = logging.getLogger("tfcanary.guard")

LOOK = 15.0
"""Seconds between two looks for releases: a deployment waits for its guard's first beat for a minute (`deploy.heartbeat`)."""


@click.command(hidden=True)
@options.platform
@click.option("--model", default="", help="With --run-id: the release to guard.")
@click.option("--run-id", default="")
@click.option("--all", "all_", is_flag=True, help="Guard every release of the platform, and never end.")
@click.option("--metrics-port", default=0, type=click.IntRange(0, 65535), help="Serve the releases' metrics here; 0: nowhere.")
def guard(platform_uri: str, model: str, run_id: str, all_: bool, metrics_port: int) -> None:
    """Watch a release whenever no step does; started by the deployment of a canary, ends with the release."""
    if all_ == bool(model or run_id) or bool(model) != bool(run_id):
        raise click.UsageError("name one release by --model and --run-id, or all of them by --all")
    if metrics_port:
        # With a platform of its own: a question that hangs is not the guard's.
        monitor.serve(metrics_port, monitor.models_exporter(platform_uri, *([model] if model else [])))
    if all_:
        Guards(platform_uri).stand()
    else:
        ended = stand(platform_uri, model, run_id)
        click.echo(f"release {run_id} ended: {ended.state.value}", err=True)


def stand(platform_uri: str, model: str, run_id: str) -> Release:
    """Guard one release until it has ended."""
    return watch.stand_guard(steps.reopen_step(platform_uri, model, run_id).platform, run_id)


class Watcher(threading.Thread):
    """Guards one release, with a platform of its own: one that hangs or dies harms no other."""

    def __init__(self, platform_uri: str, model: str, run_id: str) -> None:
        super().__init__(name=f"guard of {model}", daemon=True)
        self.of = (platform_uri, model, run_id)
        self.over = False
        """The release needs no guard any more; where the thread has ended without this, it has died."""

    def run(self) -> None:
        """Until the release has ended, or is no longer the one in the record."""
        _, model, run_id = self.of
        log.info("%s: guarding release %s", model, run_id)
        try:
            ended = stand(*self.of)
            log.info("%s: release %s ended: %s: %s", model, run_id, ended.state.value, ended.reason)
            self.over = True
        except Held as error:
            log.info("%s", error)
            self.over = True
        except TfcanaryError as error:
            log.error("%s: the guard of release %s ended: %s", model, run_id, error)


@dataclass
class Guards:
    """The guards of all releases of a platform."""

    platform_uri: str
    sleep: Callable[[float], None] = time.sleep
    watchers: dict[str, Watcher] = field(default_factory=dict)
    """The newest of each model, dead or alive."""
    opened: dict[str, Platform] = field(default_factory=dict)
    """Of each model, to read its record."""
    said: dict[str, str] = field(default_factory=dict)
    """What was last wrong with each model: told once, not at every look."""

    def stand(self) -> None:
        """Never returns."""
        threading.excepthook = _crashed
        log.info("guarding every release of %s", self.platform_uri)
        while True:
            self.look()
            self.sleep(LOOK)

    def look(self) -> None:
        """Start a guard for each release that needs one and has none; what cannot be asked now is asked at the next look."""
        try:
            found = adapters.models(self.platform_uri)
        except TfcanaryError as error:
            self._tell(self.platform_uri, str(error))
            return
        for model in found:
            try:
                self._guard(model)
                self.said.pop(model, None)
            except TfcanaryError as error:
                self._tell(model, str(error))
        self.said.pop(self.platform_uri, None)

    def _guard(self, model: str) -> None:
        present = self.watchers.get(model)
        if present and present.is_alive():
            return
        release = ledger.read(self._platform(model)).release
        if release is None or (present and present.over and present.of[2] == release.run_id):
            return
        if release.state is State.OPEN:
            # It has no traffic and needs no watch yet; but it gets none before its guard was heard of.
            ledger.heartbeat(self._platform(model), release.run_id)
        elif release.state in (State.WATCHED, State.PROMOTING, State.ROLLING_BACK, State.PROMOTED):
            self.watchers[model] = Watcher(self.platform_uri, model, release.run_id)
            self.watchers[model].start()

    def _platform(self, model: str) -> Platform:
        if model not in self.opened:
            self.opened[model] = adapters.open_platform(self.platform_uri, model, Plan())
        return self.opened[model]

    def _tell(self, about: str, what: str) -> None:
        if self.said.get(about) != what:
            log.warning("%s: %s; asked again every %.0f s", about, what, LOOK)
            self.said[about] = what


def _crashed(what: threading.ExceptHookArgs) -> None:
    """A fault of our own in one guard: told, and the guard is started again at the next look."""
    log.critical("%s crashed; it is started again", what.thread.name if what.thread else "a thread", exc_info=what.exc_value)
