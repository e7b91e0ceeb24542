"""`tfcanary trigger serve`: the server with its dispatchers, from its start to an orderly end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcanary import adapters
from tfcanary.run.trigger import auth
from tfcanary.run.trigger.dispatch import Dispatcher, DispatcherThread
from tfcanary.run.trigger.http_app import application
from tfcanary.run.trigger.responses import Service
from tfcanary.run.trigger.settings import Settings, check_address
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness
from tfcanary.run.web.bounded_server import ListeningServer, bounded_server, listen

if TYPE_CHECKING:
    pass

LAST = 30.0
"""Seconds that submissions have to end when the server is stopped: a claim without a submission costs a candidate."""

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Trigger(ListeningServer):
    """The server with the dispatchers of its models, which work while it serves."""

    dispatchers: tuple[DispatcherThread, ...]

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; returns when all work that had begun has ended or is out of time."""
        for one in self.dispatchers:
            one.start()
        try:
            ListeningServer.run(self)
        finally:
            finish(self.dispatchers)


def finish(dispatchers: tuple[DispatcherThread, ...]) -> None:
    """Stop the dispatchers and wait for their end, at most LAST seconds in all."""
    for one in dispatchers:
        one.stop()
    deadline = time.monotonic() + LAST
    for one in dispatchers:
        one.join(max(0.0, deadline - time.monotonic()))
        if one.is_alive():
            log.warning("%s did not end within %.0f s; its claim expires by itself", one.name, LAST)


def set_up(settings: Settings, address: str, port: int) -> Trigger:
    """Return a server that listens; raises Refused where everybody could start releases, or where the port is taken."""
    check_address(settings, address)
    counts = Counts()
    dispatchers = {name: _dispatcher(settings, name, counts) for name in settings.models}

    def failure() -> str:
        return next((f"the {one.name} has ended" for one in dispatchers.values() if not one.is_alive()), "")

    service = Service(settings, auth.authenticator(settings.auth), counts, wake=lambda model: dispatchers[model].wake())
    return Trigger(bounded_server(application(service, failure)), listen(address, port), tuple(dispatchers.values()))


def _dispatcher(settings: Settings, name: str, counts: Counts) -> DispatcherThread:
    source = settings.models[name]
    platform = adapters.open_platform(settings.platform, name, source.resolved_plan)
    is_complete = Completeness(source.complete, source.settle).is_complete_uri
    dispatcher = Dispatcher(platform, source.resolved_plan, settings.target, counts, is_complete)
    return DispatcherThread(dispatcher, settings.every.total_seconds())
