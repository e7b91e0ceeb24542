"""Stable's level, and what follows from it: weights, rows, margins."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.decide.judge.literal import counts
from tests.decide.judge.simulation import CLASSES, buckets
from tfcanary.core.plan import ClassesPlan, JudgePlan, LatencyPlan, QualityPlan
from tfcanary.decide.judge.rate_rows import rows, tail_bounds
from tfcanary.decide.judge.stable_level import MOST_CLASSES, alpha_parts, freeze

FULL = JudgePlan(quality=QualityPlan(), classes=ClassesPlan())
LEVEL = counts(99_900, 100, buckets(0.0, 1.0) * 99_900, quality=(70_000.0, None, 99_900.0), classes=tuple((CLASSES * 99_900).tolist()))


def test_weights_are_given_back_in_proportion_and_sum_to_one():
    assert sum(alpha_parts(FULL).values()) == pytest.approx(1)
    default, errors_only = alpha_parts(JudgePlan()), alpha_parts(JudgePlan(latency=None))
    assert sum(default.values()) == sum(errors_only.values()) == pytest.approx(1)
    assert default["errors"] / default["latency"] == pytest.approx(0.38 / 0.11)
    assert set(errors_only) == {"errors", "outage", "traffic"}


def test_the_rows_spend_no_more_than_all_of_alpha():
    spent = sum(row.alpha_part for row in rows(FULL, freeze(LEVEL, FULL)))
    assert spent + alpha_parts(FULL)["latency"] + alpha_parts(FULL)["quality"] == pytest.approx(1)


@pytest.mark.parametrize(("ok", "known"), [(999, False), (1000, True)])
def test_stable_must_have_answered_enough(ok, known):
    assert (freeze(counts(ok), FULL) is not None) is known


def test_the_level_is_what_stable_counted():
    stable_level = freeze(LEVEL, FULL)
    assert stable_level.error_rate == pytest.approx(100.5 / 100_001)
    assert stable_level.quality == pytest.approx(70_000 / 99_900)
    assert stable_level.missing == ()
    assert sum(stable_level.classes) == pytest.approx(1)


def test_what_the_plan_asks_for_and_stable_does_not_export_is_missing():
    assert freeze(counts(5000), FULL).missing == ("latency", "quality", "classes")
    assert freeze(counts(5000), JudgePlan(latency=None)).missing == ()
    few = replace(LEVEL, latency=counts(0, latency=buckets(0.0, 1.0) * 99).latency)
    assert freeze(few, FULL).missing == ("latency",)
    assert freeze(replace(LEVEL, quality=(0.0, None, 5000.0)), FULL).missing == ("quality",)


def test_the_margin_of_errors_is_relative_or_absolute_whichever_is_larger():
    rare, common = (rows(FULL, freeze(counts(1e6, 1e6 * p), replace(FULL, latency=None)))[0] for p in (0.001, 0.02))
    assert math.exp(rare.margin) == pytest.approx(3.0, rel=1e-3)
    assert math.exp(common.margin) == pytest.approx(1.5)
    assert math.exp(rare.tolerance) == pytest.approx(1.1)


def test_the_tail_is_watched_at_the_bounds_nearest_to_10_3_and_1_percent():
    tails = [row for row in rows(FULL, freeze(LEVEL, FULL)) if row.name.startswith("latency-tail")]
    assert [(row.name, row.what) for row in tails] == [
        ("latency-tail-10", "took longer than 67.5 ms"),
        ("latency-tail-3", "took longer than 121 ms"),
        ("latency-tail-1", "took longer than 219 ms"),
    ]
    assert all(0 < row.tolerance < row.margin == pytest.approx(math.log(1.5)) for row in tails)
    assert sum(row.alpha_part for row in tails) == pytest.approx(alpha_parts(FULL)["latency-tail"])


def test_two_levels_at_one_bound_are_one_row():
    spread = np.zeros(34)
    spread[15], spread[16], spread[17] = 0.8, 0.183, 0.017
    stable_level = freeze(counts(1e5, latency=1e5 * spread), JudgePlan())
    tails = [row for row in rows(JudgePlan(), stable_level) if row.name.startswith("latency-tail")]
    assert [row.name for row in tails] == ["latency-tail-10", "latency-tail-3"]
    assert sum(row.alpha_part for row in tails) == pytest.approx(alpha_parts(JudgePlan())["latency-tail"])


def test_a_bound_far_from_the_tail_stands_for_no_tail():
    narrow = np.zeros(34)
    narrow[15] = 1.0
    stable_level = freeze(counts(1e5, latency=1e5 * narrow), JudgePlan())
    assert [row.name for row in rows(JudgePlan(), stable_level)] == ["errors", "outage", "traffic"]


def test_a_coarse_histogram_has_one_bound_for_the_tail_and_its_margin_is_the_same():
    coarse = np.zeros(34)
    coarse[15], coarse[16] = 0.8, 0.2
    stable_level = freeze(counts(1e5, latency=1e5 * coarse), JudgePlan())
    (row,) = (row for row in rows(JudgePlan(), stable_level) if row.name.startswith("latency-tail"))
    assert (row.name, row.index) == ("latency-tail-3", 15)
    assert math.exp(row.margin) == pytest.approx(1.5)


def test_a_bound_beyond_which_the_margin_leaves_no_room_for_more_answers_stands_for_no_tail():
    half = np.zeros(34)
    half[15], half[16] = 0.3, 0.7
    assert set(tail_bounds(LatencyPlan(), half).values()) == {None}
    assert tail_bounds(LatencyPlan(tail_share_margin=0.4), half)[0.10] == 15


def test_of_very_many_classes_the_rare_ones_are_watched_together():
    many = np.arange(1.0, 201.0)
    stable_level = freeze(replace(LEVEL, classes=tuple((many * 100).tolist())), FULL)
    assert len(stable_level.classes) == MOST_CLASSES + 1
    assert stable_level.watched == tuple(range(150, 200))
    held = stable_level.class_counts(counts(0, classes=tuple(many.tolist())))
    assert held.sum() == many.sum()
    assert stable_level.class_counts(counts(0, classes=(1.0, 2.0))) is None, "another number of classes says nothing"
    assert [row.name for row in rows(FULL, stable_level)][-2:] == ["class-199", "class-others"]
