"""The per-request value, on literal means."""

import math

import numpy as np
import pytest
from scipy import integrate

from tests.decide.judge.literal import counts, window
from tests.decide.judge.plain import cautious_dispersion, long_run
from tfcanary.core.plan import JudgePlan, QualityPlan
from tfcanary.decide.judge.dispersion import Noise
from tfcanary.decide.judge.means import WANDER, MeanAccumulator, MeanRow
from tfcanary.decide.judge.stable_level import alpha_parts

PLAN = JudgePlan(quality=QualityPlan())
STEP = 30.0


def values(n, mean, squares=True):
    return (n * mean, n * (0.04 + mean**2) if squares else None, n)


def standing(windows, mean=0.7, history=None, **facts):
    alpha_part, quality = alpha_parts(PLAN)["quality"], PLAN.quality
    what = MeanRow("quality", "quality", alpha_part, mean, quality.tolerance, quality.margin, WANDER, **facts)
    row = MeanAccumulator(PLAN, what, {"quality": history} if history else {})
    for one in windows:
        row.add(one)
    return row.standing(STEP)


def with_means(pairs, n_c=300.0, n_b=5700.0, squares=True):
    return [window(counts(n_b, quality=values(n_b, b, squares)), counts(n_c, quality=values(n_c, c, squares))) for c, b in pairs]


def mixture(s, information, scale):
    """The half-normal mixture by numerical integration, with the largest exponent taken out."""
    top = max(s, 0) ** 2 / (2 * information)

    def integrand(x):
        return 2 / (scale * math.sqrt(2 * math.pi)) * math.exp(-0.5 * (x / scale) ** 2 + x * s - 0.5 * x * x * information - top)

    peak = max(s / information, 0.0)
    return top + math.log(integrate.quad(integrand, 0, peak + 12 * scale, points=[peak], limit=200)[0])


@pytest.mark.parametrize(
    "history", [None, Noise(excess=(0.7, 1.9), fixed=(0.0, 0.0), size=3.0, wander=0.004)], ids=["assumed", "calibrated"]
)
def test_the_row_equals_its_definition(history):
    rng = np.random.default_rng(2)
    pairs = (0.7 + 0.01 * rng.standard_normal((15, 2))).tolist()
    windows = with_means(pairs)
    h = 300 * 5700 / 6000
    d = np.array([c - b for c, b in pairs])
    total = 15 * h
    estimate = h * d.sum() / total
    n = 15 * 6000
    mean = sum(300 * c + 5700 * b for c, b in pairs) / n
    squares = sum(300 * (0.04 + c**2) + 5700 * (0.04 + b**2) for c, b in pairs) / n
    chance = (squares - mean**2) * total
    spread = []
    for which, lag in enumerate((4, 10)):
        if history:
            prior, worth = chance * (1 + history.excess[which] * max(h / STEP / history.size, 0.5)), 3600
        else:
            rho = math.exp(-0.25)
            inflation = 1 + 2 * sum((1 - j / (lag + 1)) * rho**j for j in range(1, lag + 1))
            prior, worth = chance + (0.004 * 0.7) ** 2 * min(total**2, inflation * 15 * h * h), 600
        beta = 1 / (1 + 15 * 30 / worth)
        spread.append(max(beta * prior + (1 - beta) * long_run((h * (d - estimate)).tolist(), lag), chance))
    spread[1] = cautious_dispersion(spread[1], chance)
    tolerance, margin = 0.003 * 0.7, 0.010 * 0.7
    up_j, down_j = total**2 / spread[0], total**2 / spread[1]
    s = -up_j * (estimate + tolerance)
    up = math.log(0.5 * math.exp(mixture(s, up_j, margin - tolerance)) + 0.5 * math.exp(mixture(s, up_j, 5 * (margin - tolerance))))
    s = down_j * (estimate + margin)
    down = math.log(0.9 * math.exp(margin * s - margin**2 * down_j / 2) + 0.1 * math.exp(mixture(s, down_j, margin - tolerance)))
    found = standing(windows, history=history)
    assert (found.log_rollback, found.log_promote) == (pytest.approx(up, abs=1e-5), pytest.approx(down, abs=1e-5))


def test_the_same_mean_passes_and_five_percent_less_fails():
    good, bad = standing(with_means([(0.7, 0.7)] * 60)), standing(with_means([(0.665, 0.7)] * 10))
    assert good.passes(PLAN)
    assert not good.fails(PLAN)
    assert bad.fails(PLAN)
    assert not bad.passes(PLAN)
    assert good.interval.low > 0.99
    assert bad.interval.high < 0.997
    assert bad.interval.estimate == pytest.approx(0.95)


def test_higher_is_better_also_where_values_are_negative():
    """A mean of -0.7 is worse than one of -0.65: the distance, not the sign, makes the margin."""
    lower, higher = ([(-0.75, -0.7)] * 20, [(-0.65, -0.7)] * 20)
    assert standing(with_means(lower), mean=-0.7).fails(PLAN)
    assert not standing(with_means(higher), mean=-0.7).fails(PLAN)
    assert standing(with_means(higher), mean=-0.7).passes(PLAN)


def test_without_squares_the_value_is_taken_for_a_yes_or_no():
    known, assumed = (standing(with_means([(0.69, 0.7)] * 10, squares=known)) for known in (True, False))
    assert assumed.log_rollback < known.log_rollback, "0.21 is the largest variance that a mean of 0.7 can have between 0 and 1"
    assert standing(with_means([(0.6, 0.7)] * 10, squares=False)).fails(PLAN)


def test_where_lower_is_better_the_same_numbers_stand_on_their_head():
    worse, mirrored = (standing(with_means([(mean, 0.7)] * 10), lower_is_worse=lower) for mean, lower in ((0.665, True), (0.735, False)))
    assert worse.log_rollback == pytest.approx(mirrored.log_rollback, rel=0.01)
    assert (mirrored.tolerance, mirrored.margin) == (pytest.approx(1.003), pytest.approx(1.01))
    assert mirrored.interval.estimate == pytest.approx(1.05)
    assert mirrored.interval.low > 1.003 > mirrored.tolerance - 1e-9
    assert standing(with_means([(0.665, 0.7)] * 60), lower_is_worse=False).passes(PLAN)


def test_bounds_of_the_values_stand_for_squares_that_are_not_known():
    known, tight, wide = (
        standing(with_means([(0.69, 0.7)] * 10, squares=squares), within=within)
        for squares, within in ((True, None), (False, (0.3, 1.0)), (False, (0.0, 5.0)))
    )
    assert known.log_rollback > tight.log_rollback > wide.log_rollback, "a larger variance is believed"
    assert not standing(with_means([(0.69, 0.7)] * 10), within=(0.0, 0.5)).has_data, "a mean that lies outside is none"


def test_a_few_values_that_are_alike_by_chance_are_believed_to_vary_as_stables_do():
    alike = [window(counts(190, quality=(190 * 0.7, 190 * 0.4901, 190)), counts(10, quality=(6.5, 4.2251, 10)))]
    assert standing(alike, variance=0.04).log_rollback < 1.0 < standing(alike).log_rollback


@pytest.mark.parametrize("mean", [50.0, 0.0])
def test_without_squares_and_beyond_0_to_1_nothing_breaks(mean):
    assert math.isfinite(standing(with_means([(mean, mean)] * 5, squares=False)).log_rollback)


def test_nothing_counted_is_nothing_known():
    quality = standing([window(counts(5700, quality=values(5700, 0.7)), counts(300))])
    assert (quality.log_rollback, quality.log_promote, quality.interval) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12), None)
