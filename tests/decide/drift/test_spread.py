"""Rows that belong together: users who send twenty requests each are no twenty users."""

import numpy as np
import pyarrow as pa
import pytest

from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.decide.drift import ComparisonSettings, compare, from_bytes, merge, profile, to_bytes

USERS, EACH = 500, 20


def requests(seed, shift=0.0, icc=0.5, users=USERS, kind=float):
    """Requests of users that each have a level of their own."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(0, np.sqrt(icc), users), EACH)
    values = level + rng.normal(shift, np.sqrt(1 - icc), users * EACH)
    column = values if kind is float else pa.array(np.digitize(values, [-1, 0, 1])).cast(pa.string())
    names = np.repeat([f"{seed}-{i}" for i in range(users)], EACH)
    return pa.table({"user": names, "x": column}).to_batches(max_chunksize=3_000)


def is_flagged(first, second, entity):
    reference = profile(first, entity=entity).only(["x"])
    current = profile(second, reference.layout, entity).only(["x"])
    (column,) = compare(reference, current, ComparisonSettings(warn=0.001, fail=0.6)).columns
    return column.finding is Finding.WARN


@pytest.mark.parametrize("kind", [float, str])
def test_users_who_came_by_chance_are_no_drift(kind):
    pairs = [(requests([1, i], kind=kind), requests([2, i], kind=kind)) for i in range(40)]
    alone = sum(is_flagged(a, b, "") for a, b in pairs)
    together = sum(is_flagged(a, b, "user") for a, b in pairs)
    assert alone >= 12, "rows that are taken for independent find drift that is none"
    assert together <= 5


def test_drift_of_all_users_is_still_found():
    assert sum(is_flagged(requests([1, i]), requests([2, i], shift=0.6), "user") for i in range(10)) == 10


def test_few_users_are_too_few_however_many_their_requests():
    first = profile(requests(1, users=8), entity="user")
    (column,) = compare(first, profile(requests(2, users=8), first.layout)).columns
    assert column.finding is Finding.INCONCLUSIVE
    assert column.reason == "160 and 160 rows belong to too few different values of 'user' to tell"


def test_the_entity_is_no_column_and_shards_merge_to_the_same_bytes():
    batches = requests(3)
    whole = profile(batches, entity="user")
    assert [tally.column.name for tally in whole.tallies] == ["x"]
    shards = [profile([batch], whole.layout) for batch in batches]
    assert to_bytes(merge(shards[::-1])) == to_bytes(whole) == to_bytes(from_bytes(to_bytes(whole)))
    none = profile([batches[0].slice(0, 0)], whole.layout)
    assert (none.rows, none.entity) == (0, "user")
    assert to_bytes(merge([none, *shards])) == to_bytes(whole)


def test_an_entity_that_is_missing_or_another_is_refused():
    with pytest.raises(Refused, match="batch 1: the entity column 'customer' is missing; there are user, x"):
        profile(requests(1), entity="customer")
    with pytest.raises(Refused, match="counted with different entities"):
        merge([profile(requests(1), entity="user"), profile(requests(2))])


def test_nulls_nan_and_absent_columns_keep_their_groups():
    table = pa.table({"user": ["a", "b", None, "c"], "x": [1.0, None, float("nan"), 2.0]})
    one = profile([*table.to_batches(), *pa.table({"user": ["a"], "y": [1]}).to_batches()], entity="user")
    assert one.of("x").spread.sum(axis=0)[-2:].tolist() == [2, 1]
    assert one.of("y").spread.sum() == 5
    assert from_bytes(to_bytes(one)).of("y").nulls == 4
