"""The same rows give the same bits, in whatever order and however split."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import Profile, merge, profile, to_bytes
from tfcanary.decide.drift.counts import MOST_VALUES

ROWS = 600


def table(seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "number": pa.array(rng.choice([0.0, 1e6], ROWS) + rng.normal(0, 1e-3, ROWS), mask=rng.random(ROWS) < 0.1),
            "strange": rng.choice([np.nan, np.inf, -np.inf, 0.1, 1e300], ROWS),
            "whole": rng.integers(2**60, 2**60 + 40, ROWS),
            "text": pa.array(rng.choice(["", "a", "b", "ü"], ROWS)),
            "code": pa.array(rng.choice(["x", "y"], ROWS)).dictionary_encode(),
            "vector": rng.normal(0, 1, (ROWS, 3)).tolist(),
            "ragged": [rng.normal(0, 1, i % 5).tolist() for i in range(ROWS)],
            "at": pa.array(rng.integers(-(10**9), 10**9, ROWS), pa.timestamp("s")),
            "seldom": pa.array(["z" if i > 500 else None for i in range(ROWS)]),
        }
    )


TABLE = table()
WHOLE = profile(TABLE.to_batches())


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, ROWS), max_size=12))
def test_shards_in_any_order_and_split_merge_to_the_same_bytes(random, cuts):
    edges = [0, *sorted(cuts), ROWS]
    shards = [TABLE.slice(a, b - a).to_batches(max_chunksize=random.randint(1, 300)) for a, b in pairwise(edges)]
    profiles = [profile(shard, WHOLE.layout) for shard in shards]
    random.shuffle(profiles)
    middle = random.randint(0, len(profiles))
    assert to_bytes(merge([merge(profiles[:middle]), merge(profiles[middle:])])) == to_bytes(WHOLE)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(ROWS)))
def test_the_order_of_the_rows_does_not_matter(order):
    assert to_bytes(profile(TABLE.take(order).to_batches(), WHOLE.layout)) == to_bytes(WHOLE)


def test_sixty_four_shards_with_too_many_values_merge_to_the_same_bytes():
    texts = [f"user {i}" for i in range(MOST_VALUES + 5_000)]
    whole = profile([pa.record_batch({"id": texts})])
    shards = [profile([pa.record_batch({"id": texts[i::64]})]) for i in range(64)]
    assert whole.of("id").hashed
    assert not shards[0].of("id").hashed
    assert to_bytes(merge(shards[::-1])) == to_bytes(merge(shards)) == to_bytes(whole)


def test_an_empty_shard_changes_nothing():
    assert to_bytes(merge([Profile(), WHOLE, Profile()])) == to_bytes(WHOLE)


def test_a_shard_that_lacks_a_column_counts_as_null_there():
    with_it, without = profile(TABLE.to_batches()), profile(TABLE.drop_columns(["text"]).to_batches(), WHOLE.layout)
    assert merge([with_it, without]).of("text").nulls == ROWS


def test_shards_of_different_layouts_are_refused():
    with pytest.raises(Refused, match="column 'x' was counted with different layouts"):
        merge([profile(pa.table({"x": [1.0]}).to_batches()), profile(pa.table({"x": [2.0]}).to_batches())])
