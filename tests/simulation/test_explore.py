"""No schedule breaks a release: explored for a minute here, and for an hour by `make drills-long`."""

from __future__ import annotations

import os

import pytest

from tests.simulation.actors import Run, Scenario
from tests.simulation.explore import at_random, explore, play, shrunk
from tests.simulation.scheduler import Choice, What
from tfcanary.act import hold
from tfcanary.core.record import State

SECONDS = 3600.0 if os.environ.get("TFCANARY_LONG") else 50.0


@pytest.mark.timeout(SECONDS + 250)
def test_no_schedule_breaks_a_release(capsys: pytest.CaptureFixture[str]) -> None:
    count, failures = explore(SECONDS)
    with capsys.disabled():
        print(f"\n{count} schedules explored, {len(failures)} violations")
    assert not failures, "\n\n".join(map(str, failures))
    assert count > 20


def test_without_any_choice_the_candidate_is_promoted() -> None:
    run = Run(Scenario()).play()
    assert (run.state, run.world.violations) == (State.PROMOTED, [])


def test_a_baseline_gets_as_much_as_the_canary_and_is_gone_in_the_end() -> None:
    run = Run(Scenario(baseline=True)).play()
    assert (run.state, run.world.violations) == (State.PROMOTED, [])
    shares = {line.partition("traffic ")[2].partition(" [")[0] for line in run.scheduler.trace if "traffic " in line}
    assert [share for share in shares if "baseline" in share]


@pytest.mark.parametrize("begins", [0, 1, 2, 3])
def test_a_release_that_meets_a_freeze_waits_and_is_promoted_after_it(begins: int) -> None:
    run = Run(Scenario(frozen=(begins, 20))).play()
    assert (run.state, run.world.violations) == (State.PROMOTED, [])
    assert run.scheduler.now > 20 * 60


def test_a_release_whose_windows_are_overridden_does_not_wait_on() -> None:
    run = Run(Scenario(frozen=(0, 60), override_at=300.0)).play()
    assert (run.state, run.world.violations) == (State.PROMOTED, [])
    assert run.scheduler.now < 60 * 60


def test_a_bad_candidate_is_rolled_back() -> None:
    run = Run(Scenario(bad=True)).play()
    assert (run.state, run.world.violations) == (State.ROLLED_BACK, [])


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (Run(*at_random(7)).play().scheduler.trace for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["storage", "metrics", "router", "records"])
@pytest.mark.parametrize("lasts", [40.0, 100.0, 400.0])
def test_a_port_that_is_away_for_a_while_breaks_nothing(name: str, lasts: float) -> None:
    for begins in range(20, 170, 15):
        failure = play(Scenario(away=((name, float(begins), begins + lasts),)), ())
        assert failure is None, str(failure)


@pytest.mark.parametrize("twice", ["deploy", "watch 0", "watch 1", "judge 0", "promote", "exit"])
def test_a_step_that_runs_twice_at_once_is_one_step(twice: str) -> None:
    run = Run(Scenario(twice=twice)).play()
    assert (run.state, run.world.violations) == (State.PROMOTED, []), "\n".join(run.scheduler.trace)


def test_an_abort_at_any_write_of_a_promotion_leaves_users_with_servers() -> None:
    writes = Run(Scenario()).play().scheduler.writes
    for at in range(70, writes + 1):
        for seconds in (0.0, 5.0, 100.0):
            failure = play(Scenario(), (Choice(at, What.ABORT, seconds),))
            assert failure is None, str(failure)


def test_a_failure_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a hold that nobody renews, which only a pause in mid-stage lets run out."""
    monkeypatch.setattr(hold.Hold, "tick", lambda self: None)
    needless = (Choice(5, What.WAIT, 3.0), Choice(20, What.WAIT, 15.0))
    played = (play(Scenario(pause_at=float(at), twice="exit", skew=0.0), needless) for at in range(60, 150, 5))
    failure = next(one for one in played if one is not None)
    small = shrunk(failure)
    assert (small.choices, small.scenario.twice, small.scenario.pause_at) == ((), "", failure.scenario.pause_at)
    assert "VIOLATION" in str(small)
