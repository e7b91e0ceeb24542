"""A release that ends with a new stable version, for real: compiled pipeline, KFP's local runner, Envoy, servers, checked answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.release.conftest import Site
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.errors import Refused
from tfcanary.core.record import State


def test_a_better_model_is_promoted_and_no_request_fails(site: Site, ours: Callable[[UserAnswers], dict[str, int]]) -> None:
    ended = site.release("better")
    assert (ended.state, site.record().stable) == (State.PROMOTED, ended.candidate)
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
