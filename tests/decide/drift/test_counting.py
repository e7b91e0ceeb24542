"""Every Arrow column is counted, or said to be something that is not."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import ColumnKind, Layout, merge, profile
from tfcanary.decide.drift.counting import FIRST_ROWS, MOST_COLUMNS
from tfcanary.decide.drift.counts import MOST_VALUES


def one(array, name="x"):
    """The counts of a single column."""
    return profile(pa.table({name: array}).to_batches()).of(name)


def values(tally):
    return dict(zip(tally.keys.to_pylist(), tally.counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("array", "kind", "name"),
    [
        (pa.array([1, 2, None], pa.int8()), ColumnKind.NUMBER, "int8"),
        (pa.array([1, 2, None], pa.uint64()), ColumnKind.NUMBER, "uint64"),
        (pa.array([1.5, 2, None], pa.float64()), ColumnKind.NUMBER, "double"),
        (pa.array(np.array([1.5, 2, 3], np.float16)), ColumnKind.NUMBER, "halffloat"),
        (pa.array([Decimal("1.50"), Decimal("99.99"), None]), ColumnKind.NUMBER, "decimal128(4, 2)"),
        (pa.array([1, 1, 2]).dictionary_encode(), ColumnKind.NUMBER, "int64"),
        (pa.array([5, 7, None], pa.duration("s")), ColumnKind.NUMBER, "duration[s]"),
        (pa.array([5, 7, None], pa.time32("s")), ColumnKind.NUMBER, "time32[s]"),
        (pa.array([date(1890, 1, 1), date(2020, 2, 29), None]), ColumnKind.TIME, "date32[day]"),
        (pa.array([date(1890, 1, 1), date(2020, 2, 29), None], pa.date64()), ColumnKind.TIME, "date64[ms]"),
        (pa.array([datetime(1890, 1, 1), None], pa.timestamp("ns", "UTC")), ColumnKind.TIME, "timestamp[ns, tz=UTC]"),
        (pa.array(["a", "b", None]), ColumnKind.CATEGORY, "text"),
        (pa.array(["a", "b", None], pa.large_string()), ColumnKind.CATEGORY, "text"),
        (pa.array(["a", "b", None], pa.string_view()), ColumnKind.CATEGORY, "text"),
        (pa.array([b"ab", b"\xff\xfe", None], pa.binary(2)), ColumnKind.CATEGORY, "fixed_size_binary[2]"),
        (pa.array(["a", "b", None]).dictionary_encode(), ColumnKind.CATEGORY, "text"),
        (pa.array([True, False, None]), ColumnKind.CATEGORY, "bool"),
        (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), ColumnKind.OTHER, "map<string, int64>"),
        (pa.nulls(3), ColumnKind.EMPTY, None),
    ],
)
def test_each_type_has_a_kind_and_every_row_is_counted(array, kind, name):
    tally = one(array)
    assert (tally.column.kind, tally.types) == (kind, () if name is None else (name,))
    assert (tally.rows, tally.nulls) == (len(array), array.null_count)
    assert tally.present == len(array) - array.null_count


def test_texts_booleans_and_bytes_are_counted_by_value():
    assert values(one(pa.array(["b", "a", "b", None]))) == {b"a": 1, b"b": 2}
    assert values(one(pa.array(["b", "a", "b", None]).dictionary_encode())) == {b"a": 1, b"b": 2}
    assert values(one(pa.array([True, False, True]))) == {b"false": 1, b"true": 2}
    assert values(one(pa.array([b"\xff", b"\xff", b""]))) == {b"": 1, b"\xff": 2}


def test_a_null_in_a_dictionary_is_null():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, None]), pa.array(["a", None]))
    assert (one(array).nulls, values(one(array))) == (3, {b"a": 1})


def test_a_text_of_a_megabyte_is_kept_by_its_beginning_and_a_checksum():
    tally = one(pa.array(["x" * 1_000_000 + "1", "x" * 1_000_000 + "2", "x" * 1_000_000 + "2"]))
    assert sorted(tally.counts.tolist()) == [1, 2]
    assert max(map(len, tally.keys.to_pylist())) < 300


def test_beyond_65536_values_all_are_counted_by_checksum():
    exact = one(pa.array([str(i) for i in range(MOST_VALUES)]))
    hashed = one(pa.array([str(i) for i in range(MOST_VALUES + 1)]))
    assert not exact.hashed
    assert hashed.hashed
    assert hashed.present == MOST_VALUES + 1


def test_instants_of_all_units_before_and_after_1970_fall_into_the_same_cells():
    instants = [datetime(1890, 1, 1), datetime(1969, 12, 31, 23, 59, 59), datetime(2024, 2, 29)]
    tallies = [one(pa.array(instants, pa.timestamp(unit))) for unit in ("s", "ms", "us", "ns")]
    assert len({(t.column, tuple(t.keys.tolist())) for t in tallies}) == 1
    far = one(pa.array([-(2**62), 2**62], pa.timestamp("s")))
    assert far.counts.tolist() == [1, 1]


def test_a_short_vector_becomes_a_column_a_position():
    got = profile(pa.table({"v": pa.array([[1.0, 5.0], [2.0, None], None], pa.list_(pa.float64(), 2))}).to_batches())
    assert [t.column.name for t in got.tallies] == ["v", "v[0]", "v[1]"]
    assert [t.nulls for t in got.tallies] == [1, 1, 2]


def test_a_long_vector_an_image_and_a_ragged_list_are_their_mean_and_deviation():
    image = pa.array([np.full((28, 28), float(i)).tolist() for i in range(3)])
    ragged = pa.array([[1.0, 3.0], [], [5.0]])
    got = profile(pa.table({"image": image, "ragged": ragged}).to_batches())
    assert [t.column.name for t in got.tallies] == ["image", "image.deviation", "image.mean", "ragged", "ragged.deviation", "ragged.mean"]
    assert got.of("image.mean").column.centres == (1.0,)
    assert (got.of("ragged").counts.tolist(), got.of("ragged.mean").nulls) == ([1, 1, 1], 1)


def test_ragged_texts_are_counted_by_length_and_said_not_to_be_compared():
    got = profile(pa.table({"words": pa.array([["a"], ["b", "c"], None])}).to_batches())
    assert [(t.column.name, t.column.kind, t.nulls) for t in got.tallies] == [
        ("words", ColumnKind.LENGTH, 1),
        ("words.values", ColumnKind.OTHER, 1),
    ]


def test_a_vector_of_another_length_in_a_later_file_is_seen_in_the_lengths():
    reference = profile(pa.table({"v": [[1.0, 2.0]] * 3}).to_batches())
    current = profile(pa.table({"v": [[1.0, 2.0, 3.0], [4.0]]}).to_batches(), reference.layout)
    assert [t.column for t in current.tallies] == [t.column for t in reference.tallies]
    assert (len(current.of("v").keys), current.of("v[1]").nulls) == (2, 1)


def test_structs_become_a_column_a_field():
    got = profile(pa.table({"s": [{"a": 1, "b": {"c": "x"}}, {"a": None, "b": None}]}).to_batches())
    assert [(t.column.name, t.nulls) for t in got.tallies] == [("s.a", 1), ("s.b.c", 1)]


def test_slices_count_what_they_show():
    table = pa.table({"v": [[1.0], [2.0], [3.0]], "s": ["a", "b", "c"]}).slice(1, 1)
    got = profile(table.to_batches())
    assert (got.rows, got.of("v[0]").column.centres, got.of("s").keys.to_pylist()) == (1, (2.0,), [b"b"])


def test_one_row_no_rows_and_no_batches_are_profiles():
    assert profile(pa.table({"x": [1.5]}).to_batches()).rows == 1
    empty = pa.table({"x": pa.array([], pa.float64())})
    assert profile(empty.to_batches()) == profile([pa.record_batch({"x": pa.array([], pa.float64())})]) == profile([])


def test_columns_are_ordered_as_people_count():
    got = profile(pa.table({"v": [list(range(12))]}).to_batches())
    assert [t.column.name for t in got.tallies[:4]] == ["v", "v[0]", "v[1]", "v[2]"]
    assert got.tallies[-1].column.name == "v[11]"


def test_duplicate_names_are_refused_also_where_a_struct_makes_them():
    with pytest.raises(Refused, match="column 'x' occurs twice"):
        profile([pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])])
    with pytest.raises(Refused, match=r"column 's\.a' occurs twice"):
        profile(pa.table({"s": [{"a": 1}], "s.a": [2]}).to_batches())


def test_more_columns_than_anybody_can_read_are_refused():
    wide = pa.schema([(f"c{i}", pa.int8()) for i in range(MOST_COLUMNS + 1)])
    with pytest.raises(Refused, match="10001 columns: at most 10000"):
        profile([wide.empty_table().to_batches()[0] if wide.empty_table().to_batches() else pa.RecordBatch.from_pylist([], wide)])


def test_nesting_without_end_is_refused():
    array = pa.array([1.0])
    for _ in range(40):
        array = pa.ListArray.from_arrays([0, 1], array)
    with pytest.raises(Refused, match="nested deeper than"):
        one(array)


def test_a_column_that_changes_its_kind_is_refused_with_the_batch():
    batches = [pa.record_batch({"x": [1.5]}), pa.record_batch({"x": ["a"]})]
    with pytest.raises(Refused, match="batch 2: column 'x' holds category values, before it number values"):
        profile(batches)


def test_a_number_may_change_its_width_and_a_column_may_begin_with_nulls():
    batches = [pa.record_batch({"x": pa.nulls(2)}), pa.record_batch({"x": pa.array([1, 2], pa.int8())}), pa.record_batch({"x": [1.5]})]
    tally = profile(batches).of("x")
    assert (tally.column.kind, tally.types, tally.nulls, tally.present) == (ColumnKind.NUMBER, ("double", "int8"), 2, 3)


def test_rows_of_a_batch_that_lacks_a_column_are_null_there():
    got = profile([pa.record_batch({"x": [1.0]}), pa.record_batch({"x": [2.0], "y": ["a"]}), pa.record_batch({"y": ["b"]})])
    assert [(t.column.name, t.rows, t.nulls) for t in got.tallies] == [("x", 3, 1), ("y", 3, 1)]


def test_a_layout_is_used_where_it_fits_and_made_where_it_does_not():
    reference = profile(pa.table({"x": [10.0], "y": [1.0], "gone": [1.0]}).to_batches())
    current = profile(pa.table({"x": [20.0], "y": ["a"], "new": [3.0]}).to_batches(), reference.layout)
    assert [(t.column.name, t.column.centres) for t in current.tallies] == [("new", (3.0,)), ("x", (10.0,)), ("y", ())]


def test_a_layout_is_chosen_from_the_first_rows_of_all_batches_together():
    small = [pa.record_batch({"x": [float(i)]}) for i in range(101)]
    assert profile(small).layout == Layout((profile([pa.record_batch({"x": np.arange(101.0)})]).of("x").column,))
    assert profile(small).of("x").column.centres == (50.0,)


def test_rows_beyond_the_first_are_counted_too():
    numbers = np.random.default_rng(0).normal(0, 1, 2 * FIRST_ROWS + 5)
    got = profile(pa.table({"x": numbers, "s": (numbers > 0).astype(str)}).to_batches(max_chunksize=7_000))
    assert got.rows == got.of("x").present == sum(values(got.of("s")).values()) == len(numbers)


def test_merging_nothing_is_nothing():
    assert merge([]) == profile([])
