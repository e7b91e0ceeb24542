"""The rate rows on literal counts, and against their definitions written out plainly."""

import math

import numpy as np
import pytest

from tests.decide.judge import plain
from tests.decide.judge.literal import SKEWED, STABLE, counts, sample, window
from tests.decide.judge.simulation import buckets
from tfcanary.core.domain import Track
from tfcanary.core.plan import ClassesPlan, JudgePlan
from tfcanary.decide.judge.counted_windows import read, total
from tfcanary.decide.judge.dispersion import Noise
from tfcanary.decide.judge.error_limits import error_margin, is_incident
from tfcanary.decide.judge.rate_rows import count, rows
from tfcanary.decide.judge.rates import RateAccumulator
from tfcanary.decide.judge.reasons import wait_reason
from tfcanary.decide.judge.stable_level import freeze

PLAN = JudgePlan(classes=ClassesPlan())
LEVEL = total(read(sample(Track.STABLE, STABLE.in_seconds(7200))))
FROZEN = freeze(counts(LEVEL.ok, LEVEL.failed, LEVEL.latency.dense(), classes=tuple(LEVEL.ok * s for s in SKEWED)), PLAN)
STEP = 30.0


def noisy_windows(seed=3, ratio=1.3, length=25, error_rate=0.004):
    rng = np.random.default_rng(seed)
    shares = buckets(0.0, 1.0)
    result = []
    for i in range(length):
        n_c, n_b = rng.poisson(250 * np.exp(0.2 * rng.standard_normal())), rng.poisson(5000)
        wander = np.exp(0.5 * rng.standard_normal())
        x_c, x_b = rng.poisson(n_c * error_rate * wander * ratio), rng.poisson(n_b * error_rate * wander)
        latency = [rng.multinomial(n, shares / shares.sum()).astype(float) for n in (n_b, n_c)]
        classes = [tuple(rng.multinomial(n, SKEWED).astype(float).tolist()) for n in (n_b, n_c)]
        result.append(
            window(
                counts(n_b - x_b, x_b, latency[0], classes=classes[0]),
                counts(n_c - x_c, x_c, latency[1], classes=classes[1]),
                warm=i >= 3,
                settled=i >= 1,
                canary_servers=2,
                stable_servers=3,
            )
        )
    return result


def standings(windows, plan=PLAN, stable_level=FROZEN, history=None):
    rates = RateAccumulator(plan, stable_level, history or {})
    for one in windows:
        rates.add(one)
    return {standing.name: standing for standing in rates.standings(STEP)}


@pytest.mark.parametrize(
    "history", [None, Noise(excess=(0.7, 1.9), fixed=(0.3, 0.3), size=4.0, wander=0.02)], ids=["assumed", "calibrated"]
)
def test_every_row_equals_its_definition(history):
    windows = noisy_windows()
    found = standings(windows, history={row.name: history for row in rows(PLAN, FROZEN)} if history else None)
    assert {name.split("-")[0] for name in found} == {"errors", "outage", "traffic", "latency", "class"}
    for row in rows(PLAN, FROZEN):
        errors = row.name in ("errors", "outage")
        counted = [count((row,), one, FROZEN)[0] for one in windows]
        harm, favour = (plain.widening(row.spread, 0.4 * alpha, 2, 3) for alpha in (0.04 * row.alpha_part, 0.05))
        up, down, phi_r, phi_p = plain.rate_row(
            counted,
            row.tolerance + harm,
            row.margin - favour,
            row.wander,
            row.burst,
            STEP,
            history,
            likely=errors,
            longer=errors,
            narrower=narrower(row, windows) if row.name == "errors" else None,
        )
        if errors:
            of_errors = [plain.widening(0.2, 0.4 * alpha, 2, 3) for alpha in (0.04 * rows(PLAN, FROZEN)[0].alpha_part, 0.05)]
            pairs, below = absolute(windows, counted, 0.0002 if row.name == "errors" else 0.10, *of_errors)
            up = min(up, plain.one_sample(pairs, plain.GAPS, plain.LIKELY, phi_r))
        if row.name == "errors":
            low = plain.one_sample(below, [math.log(theta) for theta in (0.5, 0.25, 0.1, 0.03, 0.01)], [0.2] * 5, max(phi_p, 1))
            down = plain.lse([math.log(0.8) + down, math.log(0.2) + low])
        assert found[row.name].log_rollback == pytest.approx(up, abs=1e-9), row.name
        assert found[row.name].log_promote == pytest.approx(down, abs=1e-9), row.name


def narrower(row, windows):
    """By how much the margin of errors is smaller in each window: in an incident 0.2 points more errors are excluded, not three times."""
    allowed = FROZEN.error_rate * math.expm1(row.margin)
    result = []
    for one in windows:
        usual = FROZEN.error_rate * one.stable.requests
        incident = one.stable.failed > 5 * usual + 4 * math.sqrt(usual)
        result.append(row.margin - math.log1p(allowed * one.stable.requests / one.stable.failed) if incident else 0.0)
    assert 0 < sum(value > 0 for value in result) < len(result)
    return result


def absolute(windows, counted, delta, harm, favour):
    """Errors of the canary and how many were to be expected at stable's rate plus delta, and at the absolute margin, by the worst draw."""
    failed = requests = 0.0
    pairs, below = [], []
    for one, quadruple in zip(windows, counted, strict=True):
        failed, requests = failed + one.stable.failed, requests + one.stable.requests
        if quadruple:
            pairs.append((quadruple[0], quadruple[1] * (max(FROZEN.error_rate, failed / requests) * math.exp(harm) + delta)))
            below.append((quadruple[0], quadruple[1] * 0.002 * math.exp(-favour)))
    return pairs, below


def healthy(length=40, n_c=300.0, n_b=5700.0, error_rate=0.01, ratio=1.0, more=0.0):
    rate_c = error_rate * ratio + more
    return [window(counts(n_b * (1 - error_rate), n_b * error_rate), counts(n_c * (1 - rate_c), n_c * rate_c)) for _ in range(length)]


def test_a_canary_exactly_like_stable_passes_and_does_not_fail():
    errors = standings(healthy(n_c=3000.0, n_b=57_000.0, error_rate=0.001))["errors"]
    assert errors.passes(PLAN)
    assert not errors.fails(PLAN)
    assert errors.interval.low < 1.0 < errors.interval.high < errors.margin


def test_three_times_the_errors_fail():
    errors = standings(healthy(ratio=3.0))["errors"]
    assert errors.fails(PLAN)
    assert not errors.passes(PLAN)
    assert 1.1 < errors.interval.low < errors.interval.estimate == pytest.approx(3.0, rel=0.05)


def test_a_shared_incident_blames_nobody():
    errors = standings([*healthy(20), *healthy(20, error_rate=0.3)])["errors"]
    assert not errors.fails(PLAN)


def test_many_times_almost_nothing_is_nobodys_outage():
    """Five times one error in 100,000 beats the relative tolerance, not the absolute one."""
    rare = freeze(counts(1e7, 100.0, buckets(0.0, 1.0) * 1e7), JudgePlan())
    windows = healthy(200, n_c=3000, n_b=57_000, error_rate=1e-5, ratio=5.0)
    errors = standings(windows, JudgePlan(), rare)["errors"]
    assert errors.interval.low > 1.1
    assert not errors.fails(JudgePlan())


def test_a_burst_in_one_window_is_no_rate_but_a_large_one_is():
    quiet = healthy(1, error_rate=0.0)
    burst, flood = (window(counts(5700), counts(300 - k, k)) for k in (12.0, 40.0))
    assert standings([*quiet, burst, *quiet])["errors"].log_rollback == 0
    assert standings([*quiet, burst, burst])["errors"].log_rollback > 0
    assert standings([*quiet, flood, *quiet])["errors"].log_rollback > 0


def test_no_errors_at_all_show_by_themselves_that_the_margin_is_kept():
    windows = healthy(20, n_c=3000, n_b=57_000, error_rate=0.0)
    assert standings(windows)["errors"].passes(PLAN)


def test_an_outage_convicts_in_its_first_window_before_stable_is_frozen():
    first = window(counts(5700, 6), counts(0, 300), settled=False, warm=False, frozen=False)
    found = standings([first], stable_level=None)
    assert list(found) == ["outage", "traffic"]
    assert found["outage"].fails(PLAN)


def test_four_times_the_errors_are_no_outage_below_ten_points():
    first = [window(counts(5700 * 0.99, 57), counts(300 * 0.96, 12), settled=False, frozen=False)] * 60
    outage = standings(first, stable_level=None)["outage"]
    assert outage.interval.low > outage.tolerance, "the relative tolerance is beaten"
    assert not outage.fails(PLAN)


def test_an_outage_of_both_tracks_convicts_nobody():
    both = window(counts(0, 5700), counts(0, 300), settled=False, frozen=False)
    assert not standings([both] * 10, stable_level=None)["outage"].fails(PLAN)


def test_errors_of_the_first_half_minute_and_before_the_freeze_do_not_count():
    bad = counts(0, 300)
    windows = [window(counts(5700), bad, settled=False), window(counts(5700), bad, frozen=False)]
    assert standings(windows)["errors"].counts == (0, 0, 0, 0)
    assert standings(windows)["outage"].counts[1] == 600


def test_less_than_three_tenths_of_the_traffic_is_missing_traffic():
    def arriving(part):
        return standings([window(counts(5700), counts(300 * part)) for _ in range(10)])["traffic"]

    assert arriving(0.1).fails(PLAN)
    assert not arriving(0.5).fails(PLAN)
    assert arriving(0.5).interval.estimate == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("share", [None, 0.0, 1.0])
def test_where_no_traffic_is_to_be_expected_none_is_missed(share):
    missing = [window(counts(5700), counts(), share=share)] * 20
    assert not standings(missing)["traffic"].fails(PLAN)


def test_a_class_that_gains_points_fails_and_one_that_loses_them_does_not():
    collapsed = [0.7 * s for s in SKEWED]
    collapsed[0] += 0.3
    windows = [
        window(counts(5000, classes=tuple(5000 * s for s in SKEWED)), counts(250, classes=tuple(250 * s for s in collapsed)))
        for _ in range(20)
    ]
    found = standings(windows)
    assert [name for name in found if found[name].fails(PLAN)] == ["class-0"]


def test_the_interval_agrees_with_the_finding_on_either_side():
    """The lower bound passes the tolerance exactly where the row convicts; the same above."""
    for ratio in np.linspace(1.0, 2.6, 17):
        traffic = standings(healthy(12, ratio=ratio, error_rate=0.05))["outage"]
        assert traffic.log_promote >= -math.log(PLAN.alpha_promote) or traffic.interval.high >= traffic.margin - 0.05
        errors = standings(healthy(12, ratio=ratio, error_rate=0.05))["errors"]
        if errors.fails(PLAN):
            assert errors.interval.low >= errors.tolerance - 0.01
        if errors.interval.low > errors.tolerance + 0.01:
            assert errors.fails(PLAN)


def test_progress_tells_how_many_requests_a_healthy_canary_needs():
    def after(n):
        return standings(healthy(n, n_c=600.0, n_b=11_400.0, error_rate=0.001))["errors"]

    assert after(1).requests_needed(PLAN) > 600
    passing = next(n for n in range(1, 100) if after(n).passes(PLAN))
    for n in (passing // 2, passing):
        assert 600 * passing == pytest.approx(after(n).requests_needed(PLAN), rel=0.35)


def test_a_criterion_that_counts_nothing_while_the_canary_answers_has_fallen_silent():
    mute = [window(counts(5700, latency=buckets(0, 1) * 5700), counts(300))] * 9
    tail = standings([*noisy_windows(), *mute])["latency-tail-1"]
    assert tail.silent
    assert tail.interval is None
    assert not tail.passes(PLAN)
    assert not standings([*noisy_windows(), *mute[:3]])["latency-tail-1"].silent, "ninety seconds are not yet silence"


def test_errors_that_are_added_in_an_incident_of_both_tracks_are_not_promoted():
    """4.5 % against 5.5 % is a ratio of 1.22, far inside the margin of 3; it is one point more, five times what the margin allows."""
    incident = healthy(120, error_rate=0.045)
    assert not standings(healthy(120, error_rate=0.045, more=0.01))["errors"].passes(PLAN)
    assert not standings(incident[:20])["errors"].passes(PLAN), "a healthy canary waits for the end of the incident ..."
    after = standings([*incident[:20], *healthy(120, error_rate=0.001)])["errors"]
    assert after.passes(PLAN), "... and not longer"
    assert after.incident == pytest.approx(0.045)
    sentence = wait_reason(standings(incident)["errors"], PLAN)
    assert "4.5 % in an incident" in sentence


@pytest.mark.parametrize(
    ("level", "rate", "incident"), [(0.001, 0.004, False), (0.001, 0.007, True), (0.01, 0.035, False), (0.01, 0.045, True)]
)
def test_an_incident_is_five_times_stables_level_or_twice_and_two_points(level, rate, incident):
    assert is_incident(level, 20_000 * rate, 20_000) is incident
    assert (error_margin(math.log(1.5), level, 20_000 * rate, 20_000) < math.log(1.5)) is incident


def test_errors_that_are_added_on_the_calm_level_are_not_hidden_by_an_incident():
    calm, incident = healthy(60, error_rate=0.001, more=0.004), healthy(60, error_rate=0.045, more=0.004)
    assert not standings([*calm, *incident])["errors"].passes(PLAN)


def test_on_a_plateau_the_margin_is_of_the_answers_beyond_the_bound_where_a_slower_tail_changes_none():
    plateau = np.zeros(34)
    plateau[7], plateau[8], plateau[9:16], plateau[16] = 0.60, 0.385, 1e-5, 0.015
    level = freeze(counts(1e6, 1e3, plateau * 1e6), PLAN)
    tails = {row.index: row for row in rows(PLAN, level) if row.name.startswith("latency-tail")}
    assert set(tails) == {7, 8, 15}
    assert all(math.exp(row.margin) == pytest.approx(1.5) for row in tails.values())
    assert math.exp(tails[15].tolerance) == pytest.approx(1.1), "8 % slower makes no answer more there; a tenth more answers is tolerated"
