"""A state is as large after a day as after an hour, a poll writes no more, and whoever goes on judges bit for bit alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_storage import FakeStorage
from tests.fakes import World
from tests.run import test_state_size
from tfcanary.act import checkpoint, ledger
from tfcanary.core import timeline
from tfcanary.core.domain import LATENCY_BOUNDS, Counters, Decision, Evidence, Finding, Interval, Sample, Track, Traffic, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ClassesPlan, JudgePlan, Plan
from tfcanary.core.ports import Blob, Platform
from tfcanary.core.record import Judged, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import Judge, judging
from tfcanary.decide.judge.criteria import Criteria
from tfcanary.run import watch

RUN = "run-1"
LARGEST_STATE = 96_000
"""Bytes of a state, with ten servers, ten classes and twenty criteria (docs/planning.md)."""
LARGEST_POLL = LARGEST_STATE + 45_000
"""Bytes that one poll writes: the state, and now and then a reel of each tape."""
CRITERIA = 20
HOUR = 360
"""Polls of an hour, at ten seconds."""
SERVERS, CLASSES = 10, 10


class MeteredStorage(FakeStorage):
    """Counts the bytes that are written, and what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.reads: list[str] = []

    def write(self, name: str, content: bytes | Path, if_generation: int | None = None) -> Blob:
        blob = super().write(name, content, if_generation)
        self.written += blob.size
        return blob

    def read(self, name: str, into: Any, generation: int | None = None) -> Blob:
        self.reads.append(name)
        return super().read(name, into, generation)


@dataclass
class NoisyMetrics:
    """Ten servers of stable and one canary whose counters grow by as much as real ones: no two windows are alike."""

    chances: dict[str, np.random.Generator] = field(default_factory=dict)
    """One for each server: both tracks are read at once."""
    counters: dict[str, Counters] = field(default_factory=dict)

    def sample(self, track: Track, at: datetime) -> Sample:
        names = ["canary-0"] if track is Track.CANARY else [f"stable-{i}" for i in range(SERVERS)]
        for name in names:
            chance = self.chances.setdefault(name, np.random.default_rng(len(name) + int(name[-1])))
            self.counters[name] = _grown(chance, self.counters.get(name, Counters(1000.0, {}, (1000.0,) * (len(LATENCY_BOUNDS) + 1))))
        return Sample(track, True, {name: self.counters[name] for name in names})

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        return iter(())


def _grown(chance: np.random.Generator, before: Counters) -> Counters:
    ok, failed = int(chance.poisson(200)), int(chance.poisson(0.5))
    slow = np.cumsum(np.bincount(np.clip(chance.normal(15, 2, ok), 0, 33).astype(int), minlength=len(before.latency)))
    classes = chance.multinomial(ok, [1 / CLASSES] * CLASSES)
    quality = before.quality or (0.0, 0.0, 0.0)
    return Counters(
        ok=before.ok + ok,
        errors={"INTERNAL": before.failed + failed},
        latency=tuple((np.array(before.latency) + slow).tolist()),
        quality=(quality[0] + 0.7 * ok + chance.normal(), quality[1] + 0.5 * ok, quality[2] + ok),
        classes=tuple((np.array(before.classes or [0.0] * CLASSES) + classes).tolist()),
    )


@pytest.fixture
def bucket() -> MeteredStorage:
    return MeteredStorage()


@pytest.fixture
def platform(world: World, bucket: MeteredStorage) -> Platform:
    """Nothing flows in this world but the counters."""
    world.storage, world.rate, world.traffic = bucket, 0.0, Traffic(canary=10)
    return replace(world.platform(), metrics=NoisyMetrics())


def of_stage(platform: Platform) -> Release:
    """The release as it is watched at its first stage."""
    begun, now = ledger.read_release(platform, RUN), platform.clock.now()
    desired = replace(begun.desired, traffic=Traffic(canary=10))
    return replace(begun, state=State.WATCHED, stage=0, stage_began=now, first_traffic=now, desired=desired)


@pytest.fixture
def release(platform: Platform, plan: Plan) -> Release:
    """A release that is watched at its first stage."""
    ledger.begin(platform, replace(plan, judge=JudgePlan(classes=ClassesPlan())), RUN)
    return of_stage(platform)


@pytest.fixture
def no_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge counts its windows and says something of the usual length: its arithmetic takes minutes for a day, and no bytes."""
    chance = np.random.default_rng(2)

    def said(*_: object) -> Verdict:
        def one(i: int) -> Evidence:
            low, estimate, high = np.sort(chance.lognormal(0, 0.1, 3)).tolist()
            figures = {f"figure {j} of it": float(chance.lognormal()) for j in range(8)}
            reason = f"criterion {i}: {estimate} times stable, between {low} and {high}; it must be proven to be below 1.5 times"
            return Evidence(f"metrics/criterion-{i}", Finding.PASS, reason, interval=Interval(low, estimate, high), figures=figures)

        return Verdict(Decision.HOLD, "it is watched", tuple(one(i) for i in range(CRITERIA)), weight=10)

    monkeypatch.setattr(judging, "decide", said)
    monkeypatch.setattr(judging, "decide_only", lambda *_: Decision.HOLD)


def watched(platform: Platform, release: Release, polls: int, bucket: MeteredStorage) -> list[int]:
    """Watch for so many polls, in one process; returns the bytes that each of them wrote."""
    written: list[int] = []

    def until(_: Release, verdict: Verdict, seen: Timeline) -> Verdict | None:
        return verdict if len(written) + 1 == polls else None

    def turn(judged: Judged | None) -> Release:
        if judged:
            written.append(bucket.written)
        return release

    bucket.written = 0
    watch.watch(platform, turn, until, watch.Blindness())
    written.append(bucket.written)
    return np.diff([0, *written]).tolist()


def state_of(platform: Platform, release: Release) -> checkpoint.Checkpoint:
    found = checkpoint.load(platform, release)
    assert found is not None
    return found


def test_neither_the_state_nor_what_a_poll_writes_is_large_after_an_hour(
    platform: Platform, release: Release, bucket: MeteredStorage, no_arithmetic: None
) -> None:
    written = watched(platform, release, HOUR, bucket)
    [state] = bucket.list("digits/releases/")
    assert state.size < LARGEST_STATE
    assert max(written) < LARGEST_POLL


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_a_day_s_last_hour_a_poll_writes_no_more_than_in_the_first_one(
    platform: Platform, release: Release, bucket: MeteredStorage, no_arithmetic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one server, two classes and two criteria, or else it takes minutes; counters get longer by a few digits."""
    monkeypatch.setattr(Criteria, "add", lambda *_: None)
    for name, few in (("SERVERS", 1), ("CLASSES", 2), ("CRITERIA", 2)):
        monkeypatch.setattr(test_state_size, name, few)
    written = watched(platform, release, 24 * HOUR, bucket)
    assert max(written[-HOUR:]) < 1.05 * max(written[:HOUR])
    assert sum(written[-HOUR:]) < 1.05 * sum(written[:HOUR])


def test_a_page_draws_a_bounded_number_of_points_and_each_end_of_a_stage(
    platform: Platform, release: Release, bucket: MeteredStorage, no_arithmetic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST", 40)
    watched(platform, release, 50, bucket)
    watched(platform, replace(release, stage=1, stage_began=platform.clock.now()), 50, bucket)
    kept = state_of(platform, release)
    outline, whole = kept.timeline, checkpoint.read_timeline(platform, RUN, kept)
    assert len(checkpoint.read_trace(platform, RUN, kept)) == 100
    assert len(whole.points) <= 40
    assert [point.stage for point in outline.points] == [0, 0, 1, 1]
    assert {point.at for point in outline.points} <= {point.at for point in whole.points}
    assert len(whole.points[0].intervals) == CRITERIA


def test_whoever_goes_on_after_any_poll_writes_the_same_state_bit_for_bit(plan: Plan) -> None:
    def content(polls: list[int]) -> bytes:
        world, bucket = World(), MeteredStorage()
        world.has_stable()
        world.storage, world.rate, world.traffic = bucket, 0.0, Traffic(canary=10)
        platform = replace(world.platform(), metrics=NoisyMetrics())
        ledger.begin(platform, replace(plan, judge=JudgePlan(classes=ClassesPlan())), RUN)
        release = of_stage(platform)
        for count in polls:
            watched(platform, release, count, bucket)
            world.clock.sleep(release.plan.stage.poll.total_seconds())
        [state] = bucket.list("digits/releases/")
        return bucket.objects[state.name][0]

    assert content([1, 11, checkpoint.LINES - 12, 1, 20]) == content([checkpoint.LINES + 21])


def test_a_judge_whose_windows_are_missing_is_refused(platform: Platform, release: Release, bucket: MeteredStorage) -> None:
    watched(platform, release, 5, bucket)
    kept = state_of(platform, release)
    windows = [window for line in checkpoint.read_trace(platform, RUN, kept) for window in line.windows]
    assert Judge.resume(kept.judge, RUN, release.plan.judge, windows).windows() == tuple(windows)
    with pytest.raises(Refused, match="written beside 4 windows, and 3 are there"):
        Judge.resume(kept.judge, RUN, release.plan.judge, windows[1:])


def test_a_guard_that_tries_whether_it_could_watch_reads_the_state_alone(
    platform: Platform, release: Release, bucket: MeteredStorage, no_arithmetic: None
) -> None:
    watched(platform, release, checkpoint.LINES + 1, bucket)
    bucket.reads.clear()
    assert checkpoint.latest(platform, release)
    assert [name.split("/")[1] for name in bucket.reads] == ["releases"]
