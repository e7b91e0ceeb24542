"""The verb `guard`: watches a release while no step of its pipeline does.

One process guards either one release, started by the deployment of its canary, or all releases of a platform.
"""

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
from tfcanary.run import monitor, steps
from tfcanary.run.guard import stand_guard

log = logging.getLogger("tfcanary.guard")

INTERVAL = 15.0
"""Seconds between two searches for releases. A deployment waits up to a minute for its guard's first heartbeat (`deploy.heartbeat`)."""


@click.command(hidden=True)
@options.platform
@click.option("--model", default="", help="The model of the release to guard; needs --run-id.")
@click.option("--run-id", default="", help="The release to guard; needs --model.")
@click.option("--all", "all_", is_flag=True, help="Guard every release of the platform; the process never ends.")
@click.option("--metrics-port", default=0, type=click.IntRange(0, 65535), help="Serve the releases' metrics on this port; 0: do not.")
def guard(platform_uri: str, model: str, run_id: str, all_: bool, metrics_port: int) -> None:
    """Watch a release while no step does. The deployment of a canary starts this process, and it ends with the release."""
    if all_ == bool(model or run_id) or bool(model) != bool(run_id):
        raise click.UsageError("name one release by --model and --run-id, or all of them by --all")
    recent = monitor.RecentRecords()
    if metrics_port:
        # The metrics use a platform of their own, so that a call that hangs there does not block the guard.
        monitor.serve(metrics_port, monitor.models_exporter(platform_uri, *([model] if model else []), recent=recent))
    if all_:
        PlatformGuard(platform_uri, recent).run()
    else:
        ended = guard_release(platform_uri, model, run_id, recent)
        click.echo(f"release {run_id} ended: {ended.state.value}", err=True)


def guard_release(platform_uri: str, model: str, run_id: str, recent: monitor.RecentRecords) -> Release:
    """Guard one release until it has ended, and note the records that are read; returns the ended release."""
    return stand_guard(recent.noting(steps.reopen_step(platform_uri, model, run_id).platform), run_id)


class ReleaseGuard(threading.Thread):
    """A thread that guards one release; it has its own platform, so that a hanging or failing thread does not affect the others."""

    def __init__(self, platform_uri: str, model: str, run_id: str, recent: monitor.RecentRecords) -> None:
        super().__init__(name=f"guard of {model}", daemon=True)
        self.platform_uri, self.model, self.run_id, self.recent = platform_uri, model, run_id, recent
        self.finished = False
        """True where the release needs no guard any more. A thread that is not alive and not finished has failed."""

    def run(self) -> None:
        """Guard until the release has ended, or is no longer the one in the record."""
        log.info("%s: guarding release %s", self.model, self.run_id)
        try:
            ended = guard_release(self.platform_uri, self.model, self.run_id, self.recent)
            log.info("%s: release %s ended: %s: %s", self.model, self.run_id, ended.state.value, ended.reason)
            self.finished = True
        except Held as error:
            log.info("%s", error)
            self.finished = True
        except TfcanaryError as error:
            log.error("%s: the guard of release %s ended: %s", self.model, self.run_id, error)


@dataclass
class PlatformGuard:
    """Starts a `ReleaseGuard` for each release of a platform that needs one."""

    platform_uri: str
    recent: monitor.RecentRecords = field(default_factory=monitor.RecentRecords)
    """The records that guards and searches have read, for the page of metrics."""
    sleep: Callable[[float], None] = time.sleep
    threads: dict[str, ReleaseGuard] = field(default_factory=dict)
    """The newest thread of each model, alive or not."""
    platforms: dict[str, Platform] = field(default_factory=dict)
    """The platform of each model, with which its record is read."""
    problems: dict[str, str] = field(default_factory=dict)
    """The last problem of each model; a problem is logged once, not in every round."""

    def run(self) -> None:
        """Start guards, round after round; never returns."""
        threading.excepthook = _log_crash
        log.info("guarding every release of %s", self.platform_uri)
        while True:
            self.start_missing()
            self.sleep(INTERVAL)

    def start_missing(self) -> None:
        """Start a guard for each release that needs one and has none; a model that cannot be read now is tried again in the next round."""
        try:
            models = adapters.models(self.platform_uri)
        except TfcanaryError as error:
            self._log_once(self.platform_uri, str(error))
            return
        for model in models:
            try:
                self._guard(model)
                self.problems.pop(model, None)
            except TfcanaryError as error:
                self._log_once(model, str(error))
        self.problems.pop(self.platform_uri, None)

    def _guard(self, model: str) -> None:
        thread = self.threads.get(model)
        if thread and thread.is_alive():
            return
        release = ledger.read(self._platform(model)).release
        if release is None or (thread and thread.finished and thread.run_id == release.run_id):
            return
        if not release.state.ended or release.state is State.PROMOTED:
            self.threads[model] = ReleaseGuard(self.platform_uri, model, release.run_id, self.recent)
            self.threads[model].start()

    def _platform(self, model: str) -> Platform:
        if model not in self.platforms:
            self.platforms[model] = self.recent.noting(adapters.open_platform(self.platform_uri, model, Plan()))
        return self.platforms[model]

    def _log_once(self, about: str, problem: str) -> None:
        if self.problems.get(about) != problem:
            log.warning("%s: %s; tried again every %.0f s", about, problem, INTERVAL)
            self.problems[about] = problem


def _log_crash(crash: threading.ExceptHookArgs) -> None:
    """Log a programming error in one guard; the guard is started again in the next round."""
    log.critical("%s crashed; it is started again", crash.thread.name if crash.thread else "a thread", exc_info=crash.exc_value)
