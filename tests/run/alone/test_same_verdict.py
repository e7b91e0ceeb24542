"""One recorded series, played to every door of the judge: the same counts give the same verdict, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.act.conftest import RUN, model, pushed
from tests.cli.test_cli import run
from tests.fakes import FakeClock, World
from tests.run.alone.http import asking
from tests.run.alone.series import PLAN, SCENARIOS, WEIGHT, Recorded, opinions, plan_of
from tfcanary.act import deploy
from tfcanary.cli import judge as verb
from tfcanary.core import codec
from tfcanary.core.domain import ModelVersion, Request, Verdict
from tfcanary.core.plan import Plan
from tfcanary.look.evaluate import metrics
from tfcanary.run import watch
from tfcanary.run.alone.judge_service import JudgeService
from tfcanary.run.alone.lone_watch import LoneWatch
from tfcanary.run.trigger.auth import NoAuthentication

__all__ = ["model", "pushed"]

EXIT = {"promote": 0, "rollback": 1, "undecided": 3}


@pytest.fixture
def plan() -> Plan:
    return plan_of()


@pytest.fixture
def world() -> World:
    """A release whose users nobody simulates: the series has counted them."""
    world = World(rate=0)
    world.has_stable()
    return world


@pytest.fixture(params=sorted(SCENARIOS))
def answer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def live(world: World, plan: Plan, pushed: ModelVersion, answer: str) -> Iterator[tuple[Recorded, FakeClock, Verdict]]:
    """A release of the pipeline that was judged by the series, a clock at its first poll, and its verdict."""
    recorded = Recorded(answer, world.clock.now())
    platform = replace(world.platform(), metrics=recorded.source(plan))
    deploy.deploy_canary(platform, RUN, pushed, lambda: iter([Request({"instances": [[1.0]]})] * 50))
    clock, first = FakeClock(), []
    polled = metrics.poll

    def poll(*arguments: Any) -> Any:
        first.append(world.clock.now())
        return polled(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "poll", poll)
        verdict = watch.watch_stage(platform, RUN, 0)
    clock.time = first[0]
    yield recorded, clock, verdict
    recorded.close()


def words(verdict: Verdict) -> tuple[object, ...]:
    return verdict.decision, verdict.reason, verdict.evidence, verdict.absent, verdict.weight


def test_the_judge_alone_says_what_the_pipelines_own_judge_says(live: tuple[Recorded, FakeClock, Verdict], answer: str) -> None:
    recorded, clock, verdict = live
    alone = opinions(recorded.watch(clock), clock)[-1]
    assert alone.answer.value == answer
    assert words(alone.verdict) == words(verdict)


def test_the_command_line_says_it_with_its_exit_code(
    live: tuple[Recorded, FakeClock, Verdict],
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded, clock, verdict = live
    monkeypatch.setattr(verb, "SystemClock", lambda: clock)
    file = tmp_path / "plan.yaml"
    file.write_text(json.dumps(PLAN))
    selectors = ("--stable-selector", '{track="stable"}', "--canary-selector", '{track="canary"}')
    code = run("judge", "--plan", file, "--name", "m", "--prometheus", recorded.url, *selectors, "--weight", WEIGHT, "--json")
    said = json.loads(capsys.readouterr().out)
    assert (code, said["decision"]) == (EXIT[answer], answer)
    assert words(codec.decode(Verdict, said["verdict"])) == words(verdict)


def test_argo_and_flagger_are_told_it_over_http(live: tuple[Recorded, FakeClock, Verdict], answer: str) -> None:
    recorded, clock, verdict = live
    watches: list[LoneWatch] = []

    def begin(release: str) -> LoneWatch:
        watches.append(recorded.watch(clock, release=release))
        return watches[-1]

    service = JudgeService(begin, clock, timedelta(seconds=600), NoAuthentication())
    payload = {"name": "digits", "namespace": "serving", "phase": "Progressing", "checksum": "85d557f47b"}
    with asking(service) as client:
        status, told = client.get("/argo?release=85d557f47b")
        assert (status, told["result"]) == (200, "hold"), "before the first look"
        for _ in range(100):
            service.tick()
            status, told = client.get("/argo?release=85d557f47b")
            assert status == 200
            if told["result"] != "hold":
                break
            assert client.post("/flagger/confirm-promotion", payload)[0] == 409, "inconclusive is no success"
            assert client.post("/flagger/rollback", payload)[0] == 409
            assert client.post("/flagger/rollout", payload)[0] == 200
            clock.sleep(10)
        hooks = {hook: client.post(f"/flagger/{hook}", payload) for hook in ("rollout", "confirm-promotion", "rollback")}
    assert len(watches) == 1
    last = watches[0].last()
    assert last
    assert words(last.verdict) == words(verdict)
    assert (told["result"], told["reason"]) == (answer, verdict.reason)
    assert told["findings"] == {one.about: one.finding.value for one in verdict.evidence if one.gating}
    assert {hook: status for hook, (status, _) in hooks.items()} == {
        "rollout": 200 if answer == "promote" else 409,
        "confirm-promotion": 200 if answer == "promote" else 409,
        "rollback": 409 if answer == "promote" else 200,
    }
    assert all(body == told for _, body in hooks.values())
