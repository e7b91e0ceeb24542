"""Labels that arrive during the watch reach the judge: as counters that only grow, and never as a reason to pass."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.act.conftest import RUN, deployed, model, pushed
from tests.act.dying import Dies
from tests.conftest import QUICK
from tests.fakes import World
from tests.run.test_watch import dies_after
from tfcanary.core import codec
from tfcanary.core.domain import COMPARED, Decision, Finding, ModelVersion, Sample, Track, Verdict
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.look.evaluate.labelled import BEFORE, SINCE, LabelCounts, LabelledSource
from tfcanary.run import watch
from tfcanary.run.steps.labels import with_labels
from tfcanary.run.steps.recorded_answers import read_answers

__all__ = ["deployed", "model", "pushed"]

LATE = timedelta(seconds=40)
"""From an answer to its label."""
RIGHT, WRONG = [0.9, 0.1], [0.1, 0.9]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    judge = {**QUICK["judge"], "quality": {"tolerance": 0.05, "margin": 0.15}}
    stage = {**QUICK["stage"], "maximum": "300s"}
    decoded: Plan = codec.decode(Plan, {**QUICK, "stage": stage, "judge": judge, "labelled": {"labels": str(tmp_path / "labels.jsonl")}})
    return decoded


class AtOnce(Executor):
    """Counts where it is asked: what a poll hears does not depend on threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except TfcanaryError as error:
            done.set_exception(error)
        return done


@dataclass
class Labels:
    """Records what users were answered, a tenth of it, and writes the labels down some time later."""

    world: World
    path: Path
    accuracy: dict[Track, float]
    seen: dict[Track, float] = field(default_factory=dict)
    waiting: list[tuple[datetime, str]] = field(default_factory=list)
    number: int = 0

    def flow(self, _: float) -> None:
        now = self.world.clock.now()
        for track in COMPARED:
            process = self.world.processes.get(self.world.tracks.get(track, -1))
            answered = process.ok if process else 0.0
            new = int(answered - self.seen.get(track, 0.0)) // 10
            if new > 0:
                self.seen[track] = answered
                self._answer(track, new, now - timedelta(seconds=1))
        arrived = [text for at, text in self.waiting if at <= now]
        self.waiting = [one for one in self.waiting if one[0] > now]
        with self.path.open("a") as file:
            file.writelines(arrived)

    def _answer(self, track: Track, new: int, at: datetime) -> None:
        ids = [f"{track.value}-{self.number + i}" for i in range(new)]
        self.number += new
        scores = [RIGHT if self.world.chance.random() < self.accuracy[track] else WRONG for _ in ids]
        batch = pa.record_batch({"id": ids, "output.scores": scores})
        self.world.answered_at.setdefault(track, []).append((at, batch))
        self.waiting += [(at + LATE, json.dumps({"id": one, "label": 0}) + "\n") for one in ids]


@pytest.fixture
def labels(world: World, tmp_path: Path) -> Labels:
    """A minute of stable's answers, labelled, before the release begins."""
    found = Labels(world, tmp_path / "labels.jsonl", {Track.STABLE: 0.8, Track.CANARY: 0.8})
    world.clock.on_sleep.append(found.flow)
    for _ in range(20):
        world.clock.sleep(5)
    return found


def labelled(world: World, plan: Plan) -> Platform:
    return with_labels(world.platform(), plan, AtOnce())


def quality(verdict: Verdict) -> Any:
    return next(e for e in verdict.evidence if e.about == "metrics/quality")


def test_a_healthy_canary_that_is_wrong_more_often_is_rolled_back_while_it_is_watched(
    world: World, labels: Labels, deployed: ModelVersion, plan: Plan
) -> None:
    labels.accuracy[Track.CANARY] = 0.5
    verdict = watch.watch_stage(labelled(world, plan), RUN, 0)
    if verdict.decision is Decision.ADVANCE:
        verdict = watch.watch_stage(labelled(world, plan), RUN, 1)
    assert (verdict.decision, world.weight) == (Decision.ROLLBACK, 0)
    assert quality(verdict).finding is Finding.FAIL
    assert "quality: mean 0." in verdict.reason
    assert not verdict.undecided


def test_a_canary_that_is_right_more_often_is_promoted(world: World, labels: Labels, deployed: ModelVersion, plan: Plan) -> None:
    labels.accuracy[Track.CANARY] = 0.9
    assert watch.watch_stage(labelled(world, plan), RUN, 0).decision is Decision.ADVANCE
    verdict = watch.watch_stage(labelled(world, plan), RUN, 1)
    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert quality(verdict).figures["canary mean"] > quality(verdict).figures["stable mean"]


def test_without_labels_nothing_is_promoted_and_the_reason_says_so(
    world: World, labels: Labels, deployed: ModelVersion, plan: Plan
) -> None:
    world.clock.on_sleep.remove(labels.flow)
    labels.path.write_text('{"id": "nobody", "label": 1}\n')
    watch.watch_stage(labelled(world, plan), RUN, 0)
    verdict = watch.watch_stage(labelled(world, plan), RUN, 1)
    assert verdict.undecided
    assert quality(verdict).finding is Finding.INCONCLUSIVE
    assert "quality: stable exported none when its level was taken" in quality(verdict).reason
    assert "quality" in verdict.reason


def test_labels_that_end_during_the_watch_block_promotion_and_blame_nobody(
    world: World, labels: Labels, deployed: ModelVersion, plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: float) -> None:
        if world.weight == 50:
            labels.path.write_text("no label\n")

    world.clock.on_sleep.append(breaks)
    with caplog.at_level(logging.WARNING):
        watch.watch_stage(labelled(world, plan), RUN, 0)
        verdict = watch.watch_stage(labelled(world, plan), RUN, 1)
    assert verdict.undecided
    assert "labels.jsonl: begins with 'no label" in caplog.text
    assert quality(verdict).finding is Finding.INCONCLUSIVE


def test_a_watch_that_goes_on_elsewhere_hears_each_label_once(world: World, labels: Labels, deployed: ModelVersion, plan: Plan) -> None:
    samples = []
    for _ in range(2):
        source = labelled(world, plan).metrics
        world.clock.sleep(5)
        samples.append({track: source.sample(track, world.clock.now()).servers for track in COMPARED})
    first, second = samples
    assert first[Track.STABLE].keys() == second[Track.STABLE].keys() == {"v1", SINCE, BEFORE}
    assert first[Track.CANARY].keys() == {"v2", SINCE}
    assert first[Track.STABLE][BEFORE].quality[2] > 100
    assert second[Track.STABLE][SINCE].quality[2] >= first[Track.STABLE][SINCE].quality[2]


def watched_by_mortals(world: World, plan: Plan, stage: int) -> tuple[Verdict, int]:
    """One process after the other is killed, and the next one goes on; the verdict, and how many died."""
    for dead in range(20):
        killer = dies_after(world, 5)
        next(killer)
        try:
            return watch.watch_stage(labelled(world, plan), RUN, stage), dead
        except Dies:
            continue
        finally:
            next(killer, None)
    raise AssertionError("20 processes came to no verdict")


@pytest.mark.parametrize(("accuracy", "ends"), [(0.4, Decision.ROLLBACK), (0.9, Decision.PROMOTE)])
def test_a_watch_whose_processes_are_killed_hears_every_label_once(
    world: World, labels: Labels, deployed: ModelVersion, plan: Plan, accuracy: float, ends: Decision
) -> None:
    labels.accuracy[Track.CANARY] = accuracy
    verdict, deaths = watched_by_mortals(world, plan, 0)
    if verdict.decision is Decision.ADVANCE:
        verdict, more = watched_by_mortals(world, plan, 1)
        deaths += more
    assert verdict.decision is ends, verdict.reason
    assert deaths > 1
    answers = sum(batch.num_rows for _, batch in world.answered_at[Track.CANARY])
    assert 0 < quality(verdict).figures["canary requests"] <= answers


def only(numbers: dict[Track, float]) -> LabelCounts:
    return LabelCounts((8.0, 8.0, 10.0), {track: (n / 2, n / 2, n) for track, n in numbers.items()})


def test_labels_are_looked_for_once_a_minute_and_never_shrink(world: World, caplog: pytest.LogCaptureFixture) -> None:
    looks = iter([20.0, 30.0, 4.0, 40.0])
    source = LabelledSource(world.platform().metrics, lambda: only(dict.fromkeys(Track, next(looks))), AtOnce())
    heard = []
    for _ in range(40):
        found = [source.sample(track, world.clock.now()).servers for track in (Track.STABLE, Track.STABLE)]
        assert found[0] == found[1]
        heard.append(found[0][SINCE].quality[2])
        world.clock.sleep(5)
    assert heard == [20.0] * 12 + [30.0] * 24 + [40.0] * 4
    assert "stable: 4 labelled answers, after 30 in the last count" in caplog.text


def test_a_track_whose_servers_are_down_is_not_made_alive_by_its_labels(world: World) -> None:
    source = LabelledSource(world.platform().metrics, lambda: only(dict.fromkeys(Track, 9.0)), AtOnce())
    assert source.sample(Track.CANARY, world.clock.now()) == Sample(Track.CANARY, up=False)


def test_answers_of_a_baseline_are_labelled_with_stables_and_its_own_counters_stay_as_they_are(world: World) -> None:
    world.tracks[Track.BASELINE] = world.tracks[Track.STABLE]
    source = LabelledSource(world.platform().metrics, lambda: only(dict.fromkeys(COMPARED, 9.0)), AtOnce())
    assert source.sample(Track.BASELINE, world.clock.now()).servers.keys() == {"v1"}
    answers = {track: pa.record_batch({"id": [track.value]}) for track in Track}
    world.answered = {track: [batch] for track, batch in answers.items()}
    window = world.clock.now(), world.clock.now()
    found = {track: list(read_answers(world.platform(), "log", track, window, "")) for track in COMPARED}
    assert found == {
        Track.STABLE: [answers[Track.STABLE], answers[Track.BASELINE]],
        Track.CANARY: [answers[Track.CANARY]],
    }


def test_a_plan_without_both_labels_and_a_quality_criterion_changes_nothing(world: World, plan: Plan) -> None:
    platform = world.platform()
    assert with_labels(platform, replace(plan, judge=replace(plan.judge, quality=None))) is platform
    assert with_labels(platform, replace(plan, judge=replace(plan.judge, quality=None), labelled=None)) is platform


def test_a_quality_criterion_needs_one_source_of_its_values(plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"judge.quality: needs one source of its values: `labelled`, or `judge.quality.metric`"):
        replace(plan, labelled=None)


def test_an_error_in_the_first_look_hides_no_server(world: World) -> None:
    def broken() -> LabelCounts:
        raise Refused("labels.jsonl: cannot be read")

    servers = LabelledSource(world.platform().metrics, broken, AtOnce()).sample(Track.STABLE, world.clock.now()).servers
    assert servers["v1"].ok > 0
    assert servers[SINCE].quality is None


def test_a_look_that_takes_long_is_taken_when_it_is_done_and_no_poll_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counting: list[Future[LabelCounts]] = []

    class Slow(AtOnce):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            counting.append(Future())
            return counting[-1]

    monkeypatch.setattr("tfcanary.look.evaluate.labelled.PATIENCE", 0.01)
    source = LabelledSource(world.platform().metrics, lambda: only({}), Slow())

    def heard() -> Any:
        world.clock.sleep(90)
        return source.sample(Track.STABLE, world.clock.now()).servers[SINCE].quality

    assert (heard(), heard(), len(counting)) == (None, None, 1)
    assert "the watch continues without them" in caplog.text
    counting[0].set_result(only(dict.fromkeys(Track, 20.0)))
    assert heard() == (10.0, 10.0, 20.0)
    assert (heard(), len(counting)) == ((10.0, 10.0, 20.0), 1)  # a pause as long as the look
    assert (heard(), len(counting)) == ((10.0, 10.0, 20.0), 2)
