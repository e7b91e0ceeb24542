"""A release judged again from its own polls says what was said live; and what Prometheus remembers can be judged, too."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.act.conftest import RUN, deployed, model, pushed
from tests.adapters.metrics.prometheus_server import ANSWERED, BUCKET, NOON, Page, PrometheusServer
from tests.cli.test_cli import run
from tests.fakes import World
from tests.process import Behaviour
from tfcanary import adapters
from tfcanary.act import checkpoint, ledger, poll_log, rollback
from tfcanary.adapters.metrics.exposition import BOUNDS
from tfcanary.core.domain import Decision, ModelVersion, Pool, Traffic, Verdict
from tfcanary.decide.judge import Judge, Poll
from tfcanary.look.evaluate import replay
from tfcanary.run import watch

__all__ = ["deployed", "model", "pushed"]

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """Everything that a judge says while the release is watched."""
    said: list[Verdict] = []
    judged = Judge.poll

    def heard(judge: Judge, poll: Poll) -> Verdict:
        said.append(judged(judge, poll))
        return said[-1]

    monkeypatch.setattr(Judge, "poll", heard)
    return said


def again(world: World) -> replay.Replay:
    platform = world.platform()
    kept = checkpoint.last_of(platform, RUN)
    assert kept is not None
    head, looks = poll_log.read(platform, RUN, kept.polls)
    return replay.replay(Judge.resume(head.judge, RUN, head.plan), [(look.at, look.poll) for look in looks])


def words(verdicts: list[Verdict] | tuple[Verdict, ...]) -> list[tuple[object, ...]]:
    return [(v.decision, v.reason, v.evidence, v.absent) for v in verdicts]


@pytest.mark.parametrize("bad", [False, True])
def test_the_kept_polls_give_every_live_verdict_again_bit_for_bit(
    world: World, deployed: ModelVersion, live: list[Verdict], bad: bool, capsys: Captured
) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    if bad:
        world.processes[Pool(deployed.number)].behaviour = Behaviour(answer=2.0, errors=0.02)
    verdict = watch.watch_stage(world.platform(), RUN, 1)
    assert verdict.decision is (Decision.ROLLBACK if bad else Decision.PROMOTE)
    told, before = list(live), len(live)
    assert words(again(world).verdicts) == words(told)
    assert before > poll_log.LINES
    assert run("replay", "digits", "--platform", "fake://", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["decision"], said["same_as_live"]) == ("rollback" if bad else "promote", True)


def test_a_poll_costs_the_bucket_less_than_three_kilobytes(world: World, deployed: ModelVersion, live: list[Verdict]) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    watch.watch_stage(world.platform(), RUN, 1)
    kept = checkpoint.last_of(world.platform(), RUN)
    assert kept is not None
    reels = sum(blob.size for blob in world.storage.list("digits/polls/"))
    assert (reels + len(kept.polls.packed)) / len(live) < 3000
    assert len(kept.polls.packed) < 3000 * poll_log.LINES


class Dies(Exception):
    """The process is killed."""


def test_a_watch_that_is_killed_after_every_poll_loses_none(world: World, deployed: ModelVersion, live: list[Verdict]) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    polls = [len(live)]

    def dies(_: float) -> None:
        if len(live) > polls[0]:
            polls[0] = len(live)
            raise Dies

    world.clock.on_sleep.append(dies)
    for _ in range(100):
        with contextlib.suppress(Dies):
            watch.watch_stage(world.platform(), RUN, 1)
            break
    assert live[-1].decision is Decision.PROMOTE
    assert len(live) >= poll_log.LINES
    told = list(live)
    assert words(again(world).verdicts) == words(told)


def test_what_the_watch_itself_rolled_back_is_no_other_verdict_of_the_judge(
    world: World, deployed: ModelVersion, live: list[Verdict], capsys: Captured
) -> None:
    def tamper(_: float) -> None:
        if len(live) > 2:
            world.traffic = Traffic(canary=77)

    world.clock.on_sleep.append(tamper)
    assert watch.watch_stage(world.platform(), RUN, 0).decision is Decision.ROLLBACK
    world.clock.on_sleep.remove(tamper)
    assert run("replay", "digits", "--platform", "fake://") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The watch itself rolled it back: the traffic in force is 77 % canary" in said
    assert "The live verdict was the same, bit for bit." in said


def test_another_verdict_than_the_live_one_is_exit_1(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    monkeypatch.setattr(replay, "agrees_with_live", lambda said, live: False)
    assert run("replay", "digits", "--platform", "fake://") == 1


def test_a_former_release_is_replayed_by_its_run_id(world: World, deployed: ModelVersion, plan: object, capsys: Captured) -> None:
    platform = world.platform()
    watch.watch_stage(platform, RUN, 0)
    release = ledger.read(platform).release
    assert release is not None
    rollback.roll_back(platform, RUN, "aborted by a person")
    ledger.begin(platform, release.plan, "run-2")
    assert run("replay", "digits", "--platform", "fake://") == 2
    assert "release 'run-2' was never polled" in capsys.readouterr().err
    assert run("replay", "digits", "--platform", "fake://", "--run", RUN) == 0


def test_the_page_tells_minute_by_minute(world: World, deployed: ModelVersion, tmp_path: Path) -> None:
    watch.watch_stage(world.platform(), RUN, 0)
    page = tmp_path / "replay.html"
    assert run("replay", "digits", "--platform", "fake://", "--html", page) == 0
    root = ElementTree.fromstring(page.read_text().removeprefix("<!DOCTYPE html>"))
    assert "Minute by minute" in ["".join(one.itertext()) for one in root.iter("h2")]


def test_a_model_without_a_release_is_bad_input(world: World) -> None:
    assert run("replay", "digits", "--platform", "fake://") == 2
    assert run("replay") == 2


STEPS = 121
HOUR = [NOON - 3600 + 30 * i for i in range(STEPS)]


@pytest.fixture
def prometheus() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    yield server
    server.close()


def page_of(track: str, rate: float, failing: float = 0.0, born: int = 0) -> Page:
    """A pod that answers evenly from step `born` on; the fake adds the same number to every series of a pod."""
    series = {f'{ANSWERED}{{API="Predict",entrypoint="REST"}}': 1000.0}
    series |= {f'{BUCKET}{{API="Predict",entrypoint="REST",le="{bound}"}}': 1000.0 for bound in BOUNDS}
    if failing:
        series[':tensorflow:serving:request_count{status="INTERNAL"}'] = 0.0
    values = {at: 30 * rate * (i - born) for i, at in enumerate(HOUR) if i >= born}
    return Page(f"{track}-0", track, series=series, scrapes=1000, values=values)


def of_prometheus(server: PrometheusServer, tmp_path: Path, *more: object) -> int:
    plan = tmp_path / "plan.yaml"
    plan.write_text("judge: {latency: none}")
    selectors = ("--stable-selector", '{track="stable"}', "--canary-selector", '{track="canary"}')
    span = ("--from", "2026-01-01T11:00:00Z", "--to", "2026-01-01T12:00:00Z")
    return run("replay", "--prometheus", server.url, "--plan", plan, "--name", "m", *selectors, *span, *more)


def test_what_prometheus_remembers_is_judged_from_the_canary_s_first_sample(
    prometheus: PrometheusServer, tmp_path: Path, capsys: Captured
) -> None:
    prometheus.pages = [page_of("stable", 190), page_of("canary", 10, born=20)]
    assert of_prometheus(prometheus, tmp_path, "--weight", 5, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["decision"] == "promote"
    assert said["minutes"][0]["at"] == "2026-01-01T11:10:00+00:00"
    first = next(one for one in said["minutes"] if one["decision"] == "promote")
    assert first["at"] == "2026-01-01T11:20:00+00:00"


def test_a_canary_that_fails_is_rolled_back_in_the_replay(prometheus: PrometheusServer, tmp_path: Path, capsys: Captured) -> None:
    prometheus.pages = [page_of("stable", 190), page_of("canary", 10, failing=1.0)]
    assert of_prometheus(prometheus, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "rollback" in said
    assert "The split is unknown" in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--from", "noon"), "--from 'noon': must be an instant"),
        (("--to", "2026-01-01T10:00:00Z"), "must be a span of at most 7 days"),
        (("--canary-selector", "track=canary"), "must be matchers of labels in braces"),
        (("--canary-selector", '{track="gone"}'), "no server of the canary is counted"),
        (("--canary-selector", '{track="stable"}'), "must differ in the value of a label"),
    ],
)
def test_a_wrong_question_is_bad_input(
    prometheus: PrometheusServer, tmp_path: Path, capsys: Captured, more: tuple[str, str], sentence: str
) -> None:
    prometheus.pages = [page_of("stable", 190), page_of("canary", 10)]
    assert of_prometheus(prometheus, tmp_path, *more) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_missing_is_named(capsys: Captured) -> None:
    assert run("replay", "--prometheus", "http://127.0.0.1:9", "--name", "m") == 2
    assert "--prometheus needs --from, --to, --plan, --stable-selector, --canary-selector" in capsys.readouterr().err
