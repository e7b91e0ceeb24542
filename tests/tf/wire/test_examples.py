"""Columns out of tf.Example files: the values are protobuf's, whatever the bytes."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import feature_names, messages, record_layout, tfrecord, vectors
from tfcanary.tf.wire.decoded_columns import Texts
from tfcanary.tf.wire.examples import ExampleColumns, decode_examples, read_examples


def written(features: dict[str, list]) -> bytes:
    """An Example; a list of numbers or texts a feature; None: a feature without a list."""
    record = messages.Example()
    for name, values in features.items():
        feature = record.features.feature[name]
        if values is None:
            continue
        kind = "float_list" if isinstance(values, tuple) else "bytes_list" if any(isinstance(v, bytes) for v in values) else "int64_list"
        getattr(feature, kind).SetInParent()
        getattr(feature, kind).value.extend(values)
    return record.SerializeToString()


def block_of(records: list[bytes]) -> tfrecord.RecordBlock:
    lengths = np.array([len(record) for record in records], np.int64)
    ends = np.cumsum(lengths)
    return tfrecord.RecordBlock(b"".join(records), 1, ends - lengths, ends)


def rows(columns: ExampleColumns) -> list[dict[str, list]]:
    """The columns as one mapping a record; what is empty counts as missing."""
    found: list[dict[str, list]] = [{} for _ in range(columns.rows)]
    for name, column in columns.by_name.items():
        values, at = column.values.tolist(), 0
        assert len(column.counts) == columns.rows
        for row, count in zip(found, column.counts.tolist(), strict=True):
            if count:
                row[name] = values[at : at + count]
            at += count
        assert at == len(values)
    return found


def by_protobuf(records: list[bytes]) -> list[dict[str, list]]:
    found = []
    for record in records:
        features = messages.Example.FromString(record).features.feature
        lists = {name: getattr(f, f.WhichOneof("kind")).value for name, f in features.items() if f.WhichOneof("kind")}
        found.append({name: list(values) for name, values in lists.items() if values})
    return found


def same(ours: list[dict[str, list]], theirs: list[dict[str, list]]) -> bool:
    """Equal, and NaN equals NaN."""
    return repr([sorted(row.items()) for row in ours]) == repr([sorted(row.items()) for row in theirs])


NAMES = st.sampled_from(["a", "b", "city", "a_name_of_sixteen", "a_name_of_more_than_sixteen", "ü" * 70, ""])
TEXT = st.lists(st.binary(max_size=60), min_size=1, max_size=1)
INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300), max_size=5)
FLOATS = st.lists(st.floats(width=32), max_size=5).map(tuple)
TEXTS = st.lists(st.binary(max_size=200), min_size=1, max_size=4)
KINDS = st.fixed_dictionaries(
    {}, optional={"a": INTEGERS, "b": FLOATS, "city": TEXTS, "ü" * 70: TEXTS, "a_name_of_sixteen": INTEGERS | st.none()}
)


@given(st.lists(KINDS, max_size=12))
def test_any_examples_read_as_protobuf_reads_them(features):
    records = [written(one) for one in features]
    assert same(rows(decode_examples(block_of(records))), by_protobuf(records))


def test_columns_have_their_kinds():
    records = [written({"i": [1, -1], "f": (0.5,), "t": [b"x"]}), written({"f": ()}), written({"i": [2**62], "t": [b"y", b"z" * 300]})]
    columns = decode_examples(block_of(records)).by_name
    assert columns["i"].values.dtype == np.int64
    assert columns["i"].values.tolist() == [1, -1, 2**62]
    assert columns["i"].counts.tolist() == [2, 0, 1]
    assert columns["f"].values.dtype == np.float32
    assert columns["f"].counts.tolist() == [1, 0, 0]
    assert isinstance(columns["t"].values, Texts)
    assert columns["t"].values.tolist() == [b"x", b"y", b"z" * 300]


def test_a_file_reads_block_by_block(tmp_path, monkeypatch):
    records = [written({"i": [i], "f": (i / 2,), "t": [b"%d" % i]}) for i in range(3000)]
    tfrecord.write(tmp_path / "examples", records, compressed=True)
    blocks = list(read_examples(tmp_path / "examples"))
    assert sum(block.rows for block in blocks) == 3000
    assert same([row for block in blocks for row in rows(block)], by_protobuf(records))


def test_tensorflow_writes_what_is_read(tf, tmp_path):
    features = {
        "f": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5, 2.5])),
        "i": tf.train.Feature(int64_list=tf.train.Int64List(value=[-7])),
        "t": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x", b""])),
    }
    with tf.io.TFRecordWriter(str(tmp_path / "examples")) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    (columns,) = read_examples(tmp_path / "examples")
    assert rows(columns) == [{"f": [1.5, 2.5], "i": [-7], "t": [b"x", b""]}]


def test_a_feature_that_is_whole_in_some_records_and_not_in_others_is_a_number():
    records = [written({"x": [3, 4]}), written({"x": (0.5,)}), written({}), written({"x": [5]})]
    column = decode_examples(block_of(records)).by_name["x"]
    assert column.values.dtype == np.float64
    assert column.values.tolist() == [3.0, 4.0, 0.5, 5.0]
    assert column.counts.tolist() == [2, 1, 0, 1]


def test_a_feature_that_is_text_in_some_records_and_number_in_others_is_refused():
    with pytest.raises(Refused, match="'x' holds texts in some records and numbers in others"):
        decode_examples(block_of([written({"x": [3]}), written({"x": [b"3"]})]))


UNUSUAL = {
    "an unknown field": written({"a": [1]}) + b"\x7a\x01x",
    "features twice, merged": written({"a": [1], "b": (1.0,)}) + written({"a": [2]}),
    "a feature twice, the last one counts": b"\x0a\x1c" + 2 * b"\x0a\x0c\x0a\x01a\x12\x07\x1a\x05\x0a\x03\x01\x02\x03",
    "value before key": b"\x0a\x0c\x0a\x0a\x12\x05\x1a\x03\x0a\x01\x07\x0a\x01a",
    "an entry without value": b"\x0a\x05\x0a\x03\x0a\x01a",
    "an entry without key": b"\x0a\x09\x0a\x07\x12\x05\x1a\x03\x0a\x01\x07",
    "integers not packed": b"\x0a\x0d\x0a\x0b\x0a\x01a\x12\x06\x1a\x04\x08\x07\x08\x09",
    "floats not packed": b"\x0a\x0e\x0a\x0c\x0a\x01b\x12\x07\x12\x05\x0d\x00\x00\x80\x3f",
    "a length of five bytes": b"\x0a\x8c\x80\x80\x80\x00" + b"\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x07",
    "a varint longer than it must be": b"\x0a\x0d\x0a\x0b\x0a\x01a\x12\x06\x1a\x04\x0a\x02\x87\x00",
    "two kinds, the last one counts": b"\x0a\x13\x0a\x11\x0a\x01a\x12\x0c\x0a\x05\x0a\x03xyz\x1a\x03\x0a\x01\x07",
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_a_record_that_is_written_in_an_unusual_way_reads_all_the_same(what):
    plain = written({"a": [1, 2], "b": (0.5,)})
    records = [plain, UNUSUAL[what], plain]
    assert same(rows(decode_examples(block_of(records))), by_protobuf(records))
    assert by_protobuf(records)[1] != by_protobuf(records)[0]


# Each looks like a short list to somebody who reads six bytes at once.
LENGTH_OF_TWO_BYTES = b"\x0a\x88\x01\x0a\x85\x01\x0a\x01a\x12\x80\x0a\x7e\x0a\x7c" + bytes(124)
NO_LIST = b"\x0a\x0f\x0a\x0d\x0a\x01a\x12\x08\x0d\x06\x0a\x04\x00\x00\x00\x00"


@pytest.mark.parametrize(
    "record",
    [
        LENGTH_OF_TWO_BYTES,
        NO_LIST,
        b"\x0a\x05abc",
        b"\xff" * 12,
        b"\x0a\x0a\x0a\x08\x0a\x01\xff\x12\x03\x1a\x01\x0a",
        written({"a": [1]})[:-1],
    ],
)
def test_what_is_no_example_is_refused_with_its_number(record):
    good = written({"a": [1]})
    with pytest.raises(Refused, match=r"record 3: not a tf\.Example"):
        decode_examples(block_of([good, good, record, good]))


def test_the_record_number_counts_through_the_file(tmp_path):
    tfrecord.write(tmp_path / "examples", [written({"t": [b"x" * 1000]})] * 5000 + [b"\xff"])
    with pytest.raises(Refused, match=r"examples: record 5001: not a tf\.Example"):
        list(read_examples(tmp_path / "examples"))


def test_limits_hold(monkeypatch):
    monkeypatch.setattr(feature_names, "MAX_NAMES", 3)
    with pytest.raises(Refused, match="more than 3 different names"):
        decode_examples(block_of([written({f"n{i}": [1] for i in range(4)})]))
    with pytest.raises(Refused, match="a name of 257 bytes"):
        decode_examples(block_of([written({"n" * 257: [1]})]))
    monkeypatch.setattr(vectors, "MAX_FIELDS", 5)
    with pytest.raises(Refused, match="record 2: more fields or values than can be read"):
        decode_examples(block_of([written({"t": [b"x"] * 5}), written({"t": [b"x"] * 6})]))


def test_names_with_the_same_first_bits_of_their_hash_are_told_apart():
    """With 10,000 names there are many that share a slot of the table."""
    many = [f"feature_{i}" for i in range(10_000)]
    records = [written({name: [i] for i, name in enumerate(many[k::10], 1)}) for k in range(10)] * 2
    assert same(rows(decode_examples(block_of(records))), by_protobuf(records))


ALIKE = {"a": [7], "city": [b"Ghent"], "score": (0.5, 2.0), "ü" * 20: [b""]}
LIKE_IT = st.fixed_dictionaries(
    {"a": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), "city": TEXT, "score": FLOATS, "ü" * 20: TEXT}
)


@given(st.lists(LIKE_IT, min_size=1, max_size=12))
def test_examples_with_the_same_features_read_as_protobuf_reads_them(features):
    records = [written(one) for one in features]
    assert same(rows(decode_examples(block_of(records))), by_protobuf(records))


def read_or_refused(records: list[bytes]) -> str:
    try:
        return repr([sorted(row.items()) for row in rows(decode_examples(block_of(records)))])
    except Refused as error:
        return str(error)


def test_a_record_with_any_byte_changed_is_not_taken_for_one_like_the_others(monkeypatch):
    good = written(ALIKE)
    assert rows(decode_examples(block_of([good, good]))) == by_protobuf([good, good])
    changed = [
        good[:at] + bytes([octet]) + good[at + 1 :]
        for at in range(len(good))
        for octet in {good[at] ^ 1, good[at] ^ 0x80, 0, 0x0A, 0x7F, 0xFF}
    ]
    ours = [read_or_refused([good, record, good]) for record in changed]
    monkeypatch.setattr(record_layout, "uniform_columns", lambda *_: {})
    assert ours == [read_or_refused([good, record, good]) for record in changed]
    assert len(set(ours)) > 100


def test_what_is_written_alike_is_read_without_the_general_decoder(monkeypatch):
    monkeypatch.setattr(vectors.Octets, "repeated", None)
    records = [written({**ALIKE, "a": [n], "city": [b"x" * n]}) for n in range(60)]
    assert same(rows(decode_examples(block_of(records))), by_protobuf(records))


@st.composite
def mutated(draw):
    """Good records with some bytes changed, moved, doubled or lost."""
    record = bytearray(written(draw(KINDS)))
    for _ in range(draw(st.integers(1, 3))):
        if not record:
            break
        at = draw(st.integers(0, len(record) - 1))
        change = draw(st.sampled_from(["flip", "set", "lose", "double", "insert"]))
        if change == "flip":
            record[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "set":
            record[at] = draw(st.sampled_from([0, 1, 0x0A, 0x12, 0x1A, 0x7F, 0x80, 0xFF]))
        elif change == "lose":
            del record[at : at + draw(st.integers(1, 4))]
        elif change == "double":
            record += record[at:]
        else:
            record[at:at] = draw(st.binary(max_size=3))
    return bytes(record)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(mutated() | st.binary(max_size=40), min_size=1, max_size=6))
@example([b"\x0a\x00"])
@example([b""])
def test_mutated_bytes_end_in_right_values_or_refused(records):
    try:
        ours = rows(decode_examples(block_of(records)))
    except Refused:
        return
    try:
        theirs = by_protobuf(records)
    except DecodeError:
        pytest.fail("protobuf refuses what was read")
    assert same(ours, theirs)
