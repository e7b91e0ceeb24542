"""The verb `judge`: what is wrong with its options is one sentence, and its state outlives the process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import run
from tests.fakes import FakeClock
from tests.run.alone.series import PLAN, Recorded
from tfcanary.cli import judge as verb

Captured = pytest.CaptureFixture[str]
SELECTORS = ("--stable-selector", '{track="stable"}', "--canary-selector", '{track="canary"}')


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(verb, "SystemClock", lambda: clock)
    return clock


@pytest.fixture
def recorded(clock: FakeClock) -> Iterator[Recorded]:
    server = Recorded("rollback", clock.now())
    yield server
    server.close()


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(json.dumps(PLAN))
    return file


def test_each_poll_is_a_line_and_the_verdict_is_the_last_one(recorded: Recorded, plan: Path, capsys: Captured) -> None:
    assert run("judge", "--plan", plan, "--name", "m", "--prometheus", recorded.url, *SELECTORS, "--weight", 10) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("12:00:00 hold at 10 %, 0 canary requests: ")
    assert lines[-1].startswith("rollback: errors: ")
    assert "rollback at 10 %" in lines[-2]


def test_the_verdict_of_a_release_is_told_again_and_costs_no_poll(
    recorded: Recorded, plan: Path, clock: FakeClock, tmp_path: Path, capsys: Captured
) -> None:
    state = ("--state", tmp_path / "state", "--release", "7", "--json")
    arguments = ("judge", "--plan", plan, "--name", "m", "--prometheus", recorded.url, *SELECTORS, *state)
    assert run(*arguments) == 1
    first, asked = capsys.readouterr(), len(recorded.asked)
    assert run(*arguments) == 1
    again = capsys.readouterr()
    assert json.loads(again.out) == json.loads(first.out)
    assert len(recorded.asked) == asked
    assert again.err == ""


def test_a_prometheus_that_is_away_is_no_verdict(plan: Path, clock: FakeClock, capsys: Captured) -> None:
    assert run("judge", "--plan", plan, "--name", "m", "--prometheus", "http://127.0.0.1:9", *SELECTORS) == 3
    assert "undecided: the canary was never counted within 5m" in capsys.readouterr().out


WRONG: list[tuple[tuple[Any, ...], str]] = [
    (("--name", "m", *SELECTORS), "give --prometheus, or metrics.url in the plan"),
    (("--prometheus", "http://p:9090", *SELECTORS), "give --name"),
    (("--prometheus", "http://p:9090", "--name", "m"), "give --stable-selector and --canary-selector"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS[:2]), "--canary-selector ''"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS[:3], '{track="stable"}'), "must differ in the value of a label"),
    (("--prometheus", "p:9090", "--name", "m", *SELECTORS), "metrics.url 'p:9090'"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--weight", 5, "--split", "kube://a/rollouts/b"), "not both"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--split", "kube://a/pods/b"), "split 'kube://a/pods/b'"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--state", "s"), "--state needs --release"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--release", "7"), "--release is for --state"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--state", "s", "--release", "../x"), "release '../x'"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--state", "ftp://s", "--release", "7"), "ftp:// is not supported"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--token-file", "t"), "--token-file is for --serve"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--serve", "8080"), "must be an address and a port"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--serve", "0.0.0.0:0"), "name a --token-file"),
    (("--prometheus", "http://p:9090", "--name", "m", *SELECTORS, "--serve", "0.0.0.0:0", "--token-file", "/none"), "cannot be read"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_options_that_do_not_fit_are_refused_before_anything_is_watched(
    plan: Path, clock: FakeClock, capsys: Captured, arguments: tuple[Any, ...], sentence: str
) -> None:
    assert run("judge", "--plan", plan, *arguments) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.strip().splitlines()) == 1
