"""Releases on a cluster, with real requests: promoted without a restart, rolled back, refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.site import Site
from tests.cluster.waiting import until
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.domain import Decision
from tfcanary.core.record import State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Ours = Callable[[UserAnswers], dict[str, int]]
EXPORTED = "20s"
"""A stage that lasts until the guard's page, which is read anew every five seconds, has been scraped on a busy machine."""


def test_a_better_model_is_promoted_and_no_pod_is_restarted(site: Site, ours: Ours) -> None:
    until(site.ailments, good=lambda found: not found)  # stable's counters are there from the first scrapes on
    before = site.uids(1)
    run = site.start("better", stage={"minimum": EXPORTED})
    site.in_traffic(run)
    canary = site.uids(2)
    weight = f'tfcanary_weight_asked_ratio{{job="tfcanary", namespace="{site.namespace}"}}'
    until(lambda: site.prometheus.query(f"max_over_time({weight}[5m]) > 0"))
    run.wait()
    ended, record = site.release_of(run.run_id), site.record()
    assert (ended.state, record.stable and record.stable.number) == (State.PROMOTED, 2), ended.reason
    assert [version.number for version in record.previous] == [1]
    assert (len(before), len(canary)) == (2, 2), "as many as stable has, at half of the traffic"
    assert canary == site.uids(2), "the pods that were judged serve"
    assert before == site.uids(1), "the previous version stays for its window"
    assert site.weight() == 0
    site.seen()
    until(lambda: site.users is not None and site.users.answers.answered > 50)
    assert ours(site.seen()) == {}


def test_a_model_that_breaks_under_load_is_rolled_back_by_the_watcher(site: Site, ours: Ours) -> None:
    before = site.uids(1)
    ended = site.release("breaks-under-load")
    assert (ended.state, ended.failed, site.weight()) == (State.ROLLED_BACK, True, 0), ended.reason
    assert [verdict.decision for verdict in ended.watched] == [Decision.ROLLBACK]
    assert site.uids(1) == before
    assert ours(site.seen()) == {}
