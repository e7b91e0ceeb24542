"""Whose drift it is: a test for each row of the table, with data that really is like that."""

from __future__ import annotations

import pytest

from tests.look.evaluate.test_drift import PLAN, TRAINED, look_at, of, track
from tfcanary.core.domain import Finding
from tfcanary.look.evaluate.attribution import TABLE, Blame, attribute, world_drift_reason

NOTHING, SHIFT, BIAS = {}, {"shift": 0.4}, {"bias": 0.8}
ROWS = {
    Blame.SPLIT: (SHIFT, NOTHING),
    Blame.BOTH: ({**SHIFT, **BIAS}, SHIFT),
    Blame.WORLD: (SHIFT, SHIFT),
    Blame.CANARY: (BIAS, NOTHING),
    Blame.SCORES: ({"surer": 2.0}, NOTHING),
    Blame.NOBODY: (NOTHING, NOTHING),
}


def test_every_row_of_the_table_is_tested():
    assert [row.blame for row in TABLE] == list(ROWS)


@pytest.mark.parametrize("blame", ROWS)
def test_each_combination_has_its_finding(blame):
    canary, stable = ROWS[blame]
    look = look_at(track(2_140, 2, **canary), track(9_800, 1, **stable), reference=TRAINED)
    found = of(look, "attribution")
    assert found.figures["changed"] == blame.value
    assert not found.gating, "each comparison decides for itself"
    assert found.reason == next(row.sentence for row in TABLE if row.blame is blame)
    assert bool(world_drift_reason(look.evidence)) == (blame in (Blame.WORLD, Blame.BOTH))


def test_the_world_and_scores_never_fail_a_release():
    for blame in (Blame.WORLD, Blame.SCORES):
        canary, stable = ROWS[blame]
        assert look_at(track(2_140, 2, **canary), track(9_800, 1, **stable), reference=TRAINED).finding is Finding.PASS


@pytest.mark.parametrize("seen", [(None, False, False, False), (False, None, True, True), (False, False, None, True)])
def test_what_could_not_be_told_blames_nobody(seen):
    assert attribute(*seen).blame is Blame.UNKNOWN


def test_the_first_row_that_fits_is_the_only_one_for_what_was_told():
    for inputs in (True, False):
        for world in (True, False):
            for classes in (True, False):
                for scores in (True, False):
                    assert attribute(inputs, world, classes, scores).blame is not Blame.UNKNOWN


def test_without_a_reference_the_world_counts_as_it_was():
    look = look_at(track(2_140, 2, bias=0.8), plan=PLAN)
    assert of(look, "attribution").figures["changed"] == "the canary"
