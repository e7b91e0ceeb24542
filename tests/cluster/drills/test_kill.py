"""The acting process is killed at each of its writes to the API server, in turn, and started again: every release converges.

Users ask all the time, and at every moment the stable Service has as many pods as all traffic needs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tests.cluster.proxy import Asked
from tests.cluster.site import NAME, Run, Site
from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import Track
from tfcanary.core.record import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

FULL = os.environ.get("TFCANARY_LONG") == "1"
"""Every write, in turn before and after it happens: a quarter of an hour. By default every ninth."""
STEP = 1 if FULL else 9
MODELS = ("better", "slow")
"""Taken in turn: what is stable is not released again."""
LOOK = 0.1
PLAN = {"judge": {"latency": "none"}, "deploy": {"warm_timeout": "1s", "keep_previous": "0s"}, "serving": {"replicas": 1}}


@dataclass
class Watchman:
    """Looks all the time whether stable could take everything."""

    site: Site
    alarms: list[str] = field(default_factory=list)
    looks: int = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look_until, args=(done,), daemon=True)
        thread.start()
        yield
        done.set()
        thread.join()

    def _look_until(self, done: threading.Event) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.site.namespace}/endpointslices"
        label = f"kubernetes.io/service-name={object_names.service(NAME, Track.STABLE)}"
        while not done.wait(LOOK):
            slices = self.site.cluster.api.items(path, labelSelector=label)
            ready = [one for part in slices for one in part.get("endpoints") or () if one["conditions"].get("ready")]
            self.looks += 1
            if not ready:
                self.alarms.append(f"{time.strftime('%H:%M:%S')}: the stable Service has no ready pod")


def killed_at(site: Site, n: int, when: Literal["before", "after"], model: str) -> tuple[Run, bool]:
    """A release whose process dies at its n-th write; whether it did."""
    died = threading.Event()
    run: list[Run] = []

    def kill() -> None:
        run[0].kill()
        died.set()

    site.proxy.trouble.kill_at(n, when, kill, of=by_the_steps)
    run.append(site.start(model, forced=True, **PLAN))
    run[0].wait()
    site.proxy.trouble.calm()
    return run[0], died.is_set()


def by_the_steps(asked: Asked) -> bool:
    """Not the guard's beats, nor Events, which nobody waits for."""
    return b'"guard":' not in asked.body and not asked.path.endswith("/events")


def test_a_release_that_is_killed_at_any_write_and_run_again_is_promoted(site: Site, record_property: Any) -> None:
    watchman, counted, n = Watchman(site), 0, 1
    with watchman.watching():
        while True:
            when: Literal["before", "after"] = "before" if counted % 2 == 0 else "after"
            before = site.record().stable
            run, died = killed_at(site, n, when, MODELS[counted % 2])
            if died:
                run.begin()
                assert run.wait() == 0, f"killed {when} write {n}:\n{run.said()[-3000:]}"
            ended = site.release_of(run.run_id)
            assert ended.state is State.PROMOTED, f"killed {when} write {n}: {ended.reason}\n{run.said()[-3000:]}"
            assert site.record().stable == ended.candidate != before
            assert site.weight() == 0
            if not died:
                break
            counted, n = counted + 1, n + STEP
    assert counted * STEP >= 10, "a release writes more often than that"
    assert watchman.alarms == []
    assert watchman.looks > counted
    assert site.seen().failed == {}
    print(f"killed at {counted} of {n} writes; {watchman.looks} looks, never without a ready pod")
