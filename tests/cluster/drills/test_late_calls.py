"""Calls that are on their way for long, and answers that are lost: what arrives late harms no user, and what was done is not done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.proxy import Asked
from tests.cluster.site import NAME, Site
from tests.cluster.waiting import until
from tests.run.submit.kfp_host import Host
from tfcanary.act import queue, rollback
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core import codec
from tfcanary.core.domain import Track
from tfcanary.core.plan import Plan
from tfcanary.core.record import State, Waiting
from tfcanary.run.trigger import offer
from tfcanary.run.trigger.dispatch import Dispatcher
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Ours = Callable[[UserAnswers], dict[str, int]]


def begins_the_promotion(asked: Asked) -> bool:
    """The write to the record after which everything may go to the candidate."""
    return asked.method == "PATCH" and "/configmaps/" in asked.path and b"promotion begins" in asked.body


def leads_to_the_canary(asked: Asked) -> bool:
    """A write to the route that names the canary's Service."""
    return asked.method == "PATCH" and "/httproutes/" in asked.path and b"digits-canary" in asked.body


def leads_to_the_canary_alone(asked: Asked) -> bool:
    """The write to the route by which everything goes to the candidate."""
    return leads_to_the_canary(asked) and b"digits-stable" not in asked.body


def points_stable_at_the_candidate(asked: Asked) -> bool:
    """The write to the stable track's Service that selects version 2."""
    return asked.method == "PATCH" and asked.path.endswith(f"/services/{NAME}-{Track.STABLE.value}") and b'"2"' in asked.body


@pytest.mark.parametrize("write", [begins_the_promotion, leads_to_the_canary_alone, points_stable_at_the_candidate])
def test_an_abort_between_a_look_of_the_promotion_and_its_write_takes_nothing_from_users(
    write: Callable[[Asked], bool], site: Site, ours: Ours
) -> None:
    with site.proxy.trouble.holding(write) as held:
        run = site.start("better", forced=True)
        until(lambda: held.held, seconds=120)
        rollback.roll_back(site.platform(), run.run_id, "a person aborts")
    run.wait(120)
    assert "a person aborts" in site.settled(run).reason
    assert min(held.answers) >= 400, "the write came too late"
    assert ours(site.seen()) == {}


def test_a_raise_that_arrives_after_the_guard_has_ended_its_release_meets_a_conflict(site: Site, ours: Ours) -> None:
    """Its process is dead, its hold is over, and its write was in the network all the time."""
    with site.proxy.trouble.holding(leads_to_the_canary) as held:
        run = site.start("better")
        until(lambda: held.held, seconds=120)
        run.kill()
        assert "left alone" in site.settled(run).reason
    until(lambda: held.answers)
    assert held.answers == [409]
    assert site.weight() == 0
    assert ours(site.seen()) == {}


def test_a_run_that_was_created_while_its_answer_got_lost_is_submitted_once(site: Site, ours: Ours) -> None:
    """Kubeflow is played by a server that creates the run and hangs up; its pipeline is the drills' own."""
    plan: Plan = codec.decode(Plan, site.plan())
    platform = site.platform()
    offered = Waiting(queue.identity("drill", "better"), str(site.models / "better"), platform.clock.now())
    offer.offer(platform, offered, plan)
    host = Host()
    host.loses = "cut"
    dispatcher = Dispatcher(platform, plan, Target(site.uri, host=host.url, image="example/tfcanary:1"), Counts())
    assert dispatcher.look()
    called = site.record().called
    assert called
    assert (called.candidate, site.record().waiting, Path(called.page).name) == (offered, (), "r1")
    assert not dispatcher.look()
    (submitted,) = host.runs.values()
    run = site.start("better", run_id=submitted["runtime_config"]["parameters"]["release_id"], forced=True)
    assert run.wait() == 0, run.said()[-3000:]
    record = site.record()
    assert (site.release_of(run.run_id).state, record.latest and record.latest.candidate) == (State.PROMOTED, offered)
    assert not dispatcher.look()
    assert len(host.runs) == 1
    host.close()
    assert ours(site.seen()) == {}
