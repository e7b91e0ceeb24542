"""`guard --all`: one guard for every release of a platform, and none of them may end it."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.act.conftest import RUN, deployed, held_by_the_dead, model, pushed
from tests.cli.test_cli import run
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters.kube.recorded_models import models_with_record
from tfcanary.cli.guard import PlatformGuard, ReleaseGuard
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import State
from tfcanary.run.guard import stand_guard

__all__ = ["deployed", "model", "pushed"]

BOUNDED = 20.0
"""Seconds that a thread may take: on the fake clock it takes a moment."""


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    monkeypatch.setattr(adapters, "models", lambda uri: ("digits",))


def ended(thread: ReleaseGuard) -> bool:
    """Whether the thread came to its own end."""
    thread.join(BOUNDED)
    return thread.finished and not thread.is_alive()


def with_traffic(world: World) -> None:
    held_by_the_dead(world.platform(), "watch", 0)


def test_a_release_whose_process_died_before_its_canary_was_deployed_ends_too(world: World, pushed: ModelVersion) -> None:
    guards = PlatformGuard("fake://")
    guards.start_missing()
    assert ended(guards.threads["digits"])
    assert ledger.read_release(world.platform(), RUN).state is State.ROLLED_BACK


def test_a_canary_that_is_left_alone_loses_its_traffic(world: World, deployed: ModelVersion) -> None:
    with_traffic(world)
    guards = PlatformGuard("fake://")
    guards.start_missing()
    assert ended(guards.threads["digits"])
    release = ledger.read_release(world.platform(), RUN)
    assert (release.state, world.weight) == (State.ROLLED_BACK, 0)
    assert "left alone" in release.reason


def test_a_release_that_has_ended_is_not_guarded_again(world: World, deployed: ModelVersion) -> None:
    with_traffic(world)
    guards = PlatformGuard("fake://")
    guards.start_missing()
    first = guards.threads["digits"]
    assert ended(first)
    guards.start_missing()
    assert guards.threads == {"digits": first}


def test_the_next_release_gets_a_guard_of_its_own(world: World, plan: Plan, deployed: ModelVersion) -> None:
    with_traffic(world)
    guards = PlatformGuard("fake://")
    guards.start_missing()
    assert ended(guards.threads["digits"])
    ledger.begin(world.platform(), plan, "run-2")
    ledger.change(world.platform(), "run-2", lambda r: replace(r, state=State.WATCHED))
    guards.start_missing()
    assert ended(guards.threads["digits"])
    assert ledger.read_release(world.platform(), "run-2").state is State.ROLLED_BACK


def test_a_guard_that_crashes_is_told_and_started_again(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_traffic(world)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    stand = stand_guard
    faults = [RuntimeError("a fault of our own"), Unavailable("the bucket is away")]

    def faulty(*given: Any) -> Any:
        if faults:
            raise faults.pop(0)
        return stand(*given)

    monkeypatch.setattr("tfcanary.cli.guard.stand_guard", faulty)
    between = _Joins()
    guards = between.guards = PlatformGuard("fake://", sleep=between)
    with pytest.raises(_Enough):
        guards.run()
    assert ledger.read_release(world.platform(), RUN).state is State.ROLLED_BACK
    told = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.levelname for one in told] == ["CRITICAL", "ERROR"]
    assert "guard of digits crashed; it is started again" in told[0].getMessage()
    assert told[0].exc_info
    assert "the bucket is away" in told[1].getMessage()


class _Enough(Exception):
    """The test has seen what it wanted."""


class _Joins:
    """In the place of time between two looks: until the threads have ended, three times."""

    guards: PlatformGuard
    looks = 0

    def __call__(self, seconds: float) -> None:
        for thread in self.guards.threads.values():
            thread.join(BOUNDED)
        self.looks += 1
        if self.looks == 3:
            raise _Enough


def test_one_record_that_cannot_be_read_stops_no_other_guard_and_is_told_once(
    world: World, pushed: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def opens(uri: str, model: str, plan: Plan) -> Any:
        if model == "broken":
            raise Refused("tfcanary 0.0.1 wrote this record")
        return world.platform(model)

    monkeypatch.setattr(adapters, "open_platform", opens)
    monkeypatch.setattr(adapters, "models", lambda uri: ("broken", "digits"))
    guards = PlatformGuard("fake://")
    guards.start_missing()
    guards.start_missing()
    assert ended(guards.threads["digits"])
    assert [one.getMessage().partition(";")[0] for one in caplog.records if one.levelno == logging.WARNING] == [
        "broken: tfcanary 0.0.1 wrote this record"
    ]


def test_a_platform_that_is_away_is_asked_again(
    world: World, pushed: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [Unavailable("the API server is away"), ("digits",)]

    def asked(uri: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(adapters, "models", asked)
    guards = PlatformGuard("fake://")
    guards.start_missing()
    assert "the API server is away" in caplog.text
    guards.start_missing()
    assert ended(guards.threads["digits"])


@pytest.mark.parametrize("arguments", [[], ["--all", "--model", "digits"], ["--model", "digits"], ["--run-id", "run-1"]])
def test_which_releases_are_guarded_must_be_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("guard", "--platform", "fake://", *arguments) == 2
    assert "or all of them by --all" in capsys.readouterr().err


def test_the_models_of_a_state_folder_are_those_with_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert adapters.models(f"local://{tmp_path}") == ()
    (tmp_path / "records").mkdir()
    for name in ("wine.json", "digits.json", "digits.lock"):
        (tmp_path / "records" / name).touch()
    assert adapters.models(f"local://{tmp_path}") == ("digits", "wine")


@pytest.mark.parametrize("uri", ["https://somewhere", "digits"])
def test_a_platform_that_is_none_has_no_models(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(Refused, match="is no platform"):
        adapters.models(uri)


def test_the_models_of_a_namespace_are_found_by_the_labels_of_their_records() -> None:
    class Listing:
        def list(self, resource: Any, labels: Any) -> Any:
            assert (resource.plural, labels["app.kubernetes.io/component"]) == ("configmaps", "record")
            return [{"metadata": {"labels": {**labels, "tfcanary.dev/model": name}}} for name in ("wine", "digits")]

    assert models_with_record(Listing()) == ("digits", "wine")  # type: ignore[arg-type]
