"""A release that ends with a new stable version, for real: compiled pipeline, KFP's local runner, Envoy, servers, checked answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.release.conftest import NAME, PLAN, Site
from tfcanary import adapters
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.domain import Role, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.core.record import State


def test_a_better_model_is_promoted_and_no_request_fails(site: Site, ours: Callable[[UserAnswers], dict[str, int]]) -> None:
    """Beside a baseline, which is gone as soon as the candidate is stable."""
    ended = site.release("better", weights=[20, 50], deploy={**PLAN["deploy"], "baseline": True})  # type: ignore[dict-item]
    assert (ended.state, site.record().stable) == (State.PROMOTED, ended.candidate)
    assert [event.what for event in ended.events if event.what.endswith("baseline 50 %")]
    observed = adapters.open_platform(site.uri, NAME, Plan()).deployer.observe()
    assert set(observed.tracks) == {Track.STABLE}
    assert Role.BASELINE not in {pool.role for pool in observed.servers}
    site.users.take_answers()
    time.sleep(2)
    after = site.seen()
    assert ours(after) == {}
    assert after.right / after.rows > 0.9, "users are answered by the better model now"
    assert site.weight() == 0


def test_what_serves_already_is_not_released_again(site: Site) -> None:
    stable = site.record().stable
    assert stable is not None
    with pytest.raises(Refused, match=f"version {stable.number} is stable already"):
        site.submit("better")
