"""A small laboratory: seeded noise, calm and heavy, healthy canaries and bad ones.

Few watches each: enough to see that nothing is grossly wrong, not to measure error rates.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.decide.judge.simulation import CALM, GOOD, NOISY, Canary, history, watch
from tfcanary.core.domain import Decision
from tfcanary.core.plan import ClassesPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge

PLAN = JudgePlan(quality=QualityPlan(), classes=ClassesPlan())
WATCHES = 2


def outcomes(noise, what, rate=200.0, seconds=3600.0, weights=((0.0, 5), (600.0, 25)), **settings):
    """The decisions of some watches, and the latest time of any."""
    decisions, latest = Counter(), 0.0
    for seed in range(WATCHES):
        rng = np.random.default_rng([seed, 18])
        judge = Judge.begin(PLAN, "r1", history(rng, noise, rate=rate, step=60.0))
        for poll in watch(rng, noise, what, rate=rate, seconds=seconds, weights=weights, step=60.0, **settings):
            if judge.poll(poll).decision is not Decision.HOLD:
                break
        decisions[judge.verdict().decision] += 1
        latest = max(latest, poll.t)
    return decisions, latest


@pytest.mark.parametrize("noise", [CALM, NOISY], ids=["calm", "noisy"])
@pytest.mark.parametrize("what", [GOOD, Canary(latency=0.8)], ids=["alike", "faster"])
def test_a_healthy_canary_is_promoted(noise, what):
    decisions, _ = outcomes(noise, what)
    assert decisions == {Decision.PROMOTE: WATCHES}


@pytest.mark.parametrize("noise", [CALM, NOISY], ids=["calm", "noisy"])
@pytest.mark.parametrize(
    ("what", "within"),
    [
        (Canary(errors=10.0), 1500),
        (Canary(latency=1.5), 900),
        (Canary(quality=0.95), 600),
        (Canary(collapse=0.3), 600),
        (Canary(outage=True), 120),
        (Canary(crashed=True), 240),
        (Canary(silent=True), 300),
    ],
    ids=["errors x10", "latency +50 %", "quality -5 %", "classes", "outage", "crash", "silence"],
)
def test_a_bad_canary_is_rolled_back_in_time(noise, what, within):
    decisions, latest = outcomes(noise, what)
    assert decisions == {Decision.ROLLBACK: WATCHES}
    assert latest <= within


def test_too_little_traffic_never_promotes():
    decisions, _ = outcomes(CALM, GOOD, rate=0.5)
    assert decisions == {Decision.HOLD: WATCHES}
