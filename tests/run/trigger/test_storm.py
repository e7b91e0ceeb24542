"""A storm of events that are repeated, reordered and broken: the newest version is released last, and nothing leaks."""

from __future__ import annotations

import gc
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.run.trigger.conftest import EXPORTS, STRUCTURE, Client, Site, finalized, pushed, until
from tests.run.trigger.malformed import MALFORMED
from tfcanary.run.web import bounded_requests


def storm(number: int, seed: int) -> list[tuple[bytes | str, dict[str, str]]]:
    """Duplicates, reordered and malformed events of versions 2 to `number`; each version is there at least once."""
    chance = random.Random(seed)
    told = [(json.dumps(finalized(f"digits/{n}/_SUCCESS")), STRUCTURE) for n in range(2, number + 1)]
    told += [(json.dumps(pushed(f"digits/{n}/_SUCCESS", f"p{n}")), {}) for n in range(2, number + 1)]
    told += [(json.dumps(finalized(f"cats/{n}/_SUCCESS")), STRUCTURE) for n in range(2, number + 1)]
    events = told + [chance.choice(told) for _ in range(1_000 - 2 * len(MALFORMED) - len(told))] + MALFORMED * 2
    chance.shuffle(events)
    return events


def test_a_thousand_events_that_are_repeated_reordered_and_broken_come_to_two_releases(
    site: Site, server: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The first is active meanwhile; of all the others only the newest follows."""
    caplog.set_level("ERROR")  # what pytest keeps of a log is no leak
    for n in range(1, 41):
        site.export(n)
    server.post("/events", finalized("digits/1/_SUCCESS"), **STRUCTURE)
    until(lambda: site.pipelines.versions() == ["1"])
    events = storm(40, seed=7)
    assert len(events) == 1_000

    def told(one: tuple[bytes | str, dict[str, str]]) -> int:
        return server.ask("POST", "/events", one[0], **one[1])[0]

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(told, events[:200]))
        gc.collect()
        threads, files, objects = threading.active_count(), len(os.listdir("/proc/self/fd")), len(gc.get_objects())
        answers += clients.map(told, events[200:])
        assert threading.active_count() <= threads + bounded_requests.THREADS, "they are made when they are needed, and no more of them"
    assert set(answers) == {200, 202, 400}
    assert answers.count(400) == 2 * len(MALFORMED)
    gc.collect()
    until(lambda: len(os.listdir("/proc/self/fd")) <= files, "file descriptors are left open")
    assert len(gc.get_objects()) - objects < 20_000
    assert [one.model_uri for one in site.record().waiting] == [f"{EXPORTS['digits']}/40"]
    for _ in range(3):
        site.end()
        time.sleep(0.1)
        until(lambda: site.pipelines.versions() == ["1", "40"] and site.record().called is None)
    assert site.record().waiting == ()
    assert (site.pipelines.collisions, site.record("faces").heard) == (0, ())


def test_with_every_release_ending_at_once_the_order_holds_and_the_newest_is_last(site: Site, server: Client) -> None:
    for n in range(1, 41):
        site.export(n)
    over = threading.Event()

    def ends() -> None:
        while not over.wait(0.02):
            for run in tuple(site.pipelines.runs):
                if run.over is None:
                    run.end()

    ending = threading.Thread(target=ends)
    ending.start()
    try:
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(lambda one: server.ask("POST", "/events", one[0], **one[1]), storm(40, seed=8)[:300]))
        server.post("/events", finalized("digits/40/_SUCCESS"), **STRUCTURE)
        until(lambda: "40" in site.pipelines.versions())
    finally:
        over.set()
        ending.join()
    released = [int(version) for version in site.pipelines.versions()]
    assert released == sorted(set(released))
    assert (released[-1], site.pipelines.collisions) == (40, 0)
