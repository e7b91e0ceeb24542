"""Profiles as bytes: the same again, small, and refused in one sentence when damaged."""

import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.drift.test_merge import WHOLE
from tfcanary.core.errors import Refused
from tfcanary.decide.drift import Profile, from_bytes, profile, to_bytes
from tfcanary.decide.drift.profile_bytes import MARK

STORED = to_bytes(WHOLE)


def test_what_is_read_is_what_was_written():
    again = from_bytes(STORED)
    assert to_bytes(again) == STORED
    assert (again.rows, again.layout) == (WHOLE.rows, WHOLE.layout)
    assert from_bytes(to_bytes(Profile())) == Profile()


def test_a_column_with_braces_in_its_name_and_too_many_values_can_be_read_again():
    texts = [f"{{{{{i}}}}}" for i in range(70_000)]
    stored = to_bytes(profile([pa.record_batch({"{{x}}": texts})]))
    assert from_bytes(stored).of("{{x}}").hashed


def test_a_column_of_a_hundred_thousand_rows_takes_a_few_kilobytes():
    assert len(to_bytes(profile(pa.table({"x": np.random.default_rng(0).normal(0, 1, 100_000)}).to_batches()))) < 20_000


def test_other_files_and_later_formats_are_refused():
    for content in (b"", b"PAR1....", MARK.replace(b"2", b"3") + STORED[len(MARK) :]):
        with pytest.raises(Refused, match="no drift profile of this version"):
            from_bytes(content)


@given(st.integers(len(MARK), len(STORED) - 1))
@settings(max_examples=50, deadline=None)
def test_a_truncated_profile_is_refused(end):
    with pytest.raises(Refused, match="damaged drift profile"):
        from_bytes(STORED[:end])


@given(st.lists(st.tuples(st.integers(0, 3_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_whatever_a_hostile_profile_holds_it_is_read_or_refused(changes):
    unpacked = bytearray(zlib.decompress(STORED[len(MARK) :]))
    for at, content in changes:
        unpacked[at : at + len(content)] = content
    try:
        read = from_bytes(MARK + zlib.compress(bytes(unpacked), 1))
    except Refused as refused:
        assert "damaged" in str(refused)  # noqa: PT017
    else:
        assert all(tally.rows == read.rows for tally in read.tallies)


def test_counts_that_cannot_be_are_refused():
    unpacked = zlib.decompress(STORED[len(MARK) :])
    for old, new in (
        (b'"rows":600', b'"rows":601'),
        (b'"nulls":0', b'"nulls":9'),
        (b'"kind":"number"', b'"kind":"other"'),
        (b'"centres":[', b'"centres":[9e999,'),
    ):
        with pytest.raises(Refused, match="damaged"):
            from_bytes(MARK + zlib.compress(unpacked.replace(old, new, 1)))
