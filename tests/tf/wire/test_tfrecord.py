"""TFRecord files are TensorFlow's, and damage is named by file and record."""

from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import tfrecord

RECORDS = [b"first", b"", b"x" * 70_000, b"last"]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_reads_what_tensorflow_writes(tf, tmp_path, compression):
    path = tmp_path / "records"
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(tfrecord.read(path)) == RECORDS


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_tensorflow_reads_what_is_written(tf, tmp_path, compression):
    path = tmp_path / "records"
    tfrecord.write(path, RECORDS, compressed=compression == "GZIP")
    dataset = tf.data.TFRecordDataset(str(path), compression)
    assert [record.numpy() for record in dataset] == RECORDS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(1, 200))
def test_whatever_the_block_size_the_records_are_the_same(tmp_path, records, size):
    path = tmp_path / "records"
    tfrecord.write(path, records)
    blocks = list(tfrecord.read_blocks(path, size))
    assert [record for block in blocks for record in block.records()] == records
    assert [block.first for block in blocks] == [1 + sum(map(len, blocks[:i])) for i in range(len(blocks))]


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "empty").touch()
    assert list(tfrecord.read(tmp_path / "empty")) == []


def damaged(tmp_path, change):
    path = tmp_path / "damaged.tfrecord"
    content = bytearray(b"".join(map(tfrecord.frame, [b"one", b"two", b"three"])))
    path.write_bytes(change(content) or content)
    return path


def set_byte(content, at):
    content[at] ^= 0x40


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: set_byte(content, 19 + 12), "record 2: the checksum of its content is wrong"),
        (lambda content: set_byte(content, 19 + 1), "record 2: the checksum of its length is wrong"),
        (lambda content: set_byte(content, 38 + 20), "record 3: the checksum of its content is wrong"),
        (lambda content: content[:-1], "record 3: the file ends in the middle"),
        (lambda content: content[: 38 + 5], "record 3: the file ends in the middle"),
        (lambda content: content[: 38 + 12], "record 3: the file ends in the middle"),
        (lambda content: b"no records here", "record 1: the checksum of its length is wrong: damaged, or not a TFRecord file"),
        (lambda content: gzip.compress(content)[:-9], "record 1: cannot be read"),
        (lambda content: gzip.compress(content)[:14] + b"\xff" * 30, "record 1: cannot be read"),
    ],
)
def test_damage_is_refused_with_file_and_record(tmp_path, change, reason):
    path = damaged(tmp_path, change)
    with pytest.raises(Refused, match=f"damaged.tfrecord: {reason}"):
        list(tfrecord.read(path))


def test_a_length_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge"
    length = struct.pack("<Q", 1 << 60)
    path.write_bytes(tfrecord.frame(b"one") + length + struct.pack("<I", tfrecord._checksum(length)))
    with pytest.raises(Refused, match="huge: record 2: 1152921504606846976 bytes; at most"):
        list(tfrecord.read(path))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refused, match="no-such-file"):
        list(tfrecord.read(tmp_path / "no-such-file"))


def test_a_plain_file_that_begins_like_gzip_is_read_as_plain(tmp_path):
    record = bytes(0x8B1F)  # its length is written 1f 8b
    tfrecord.write(tmp_path / "plain", [record])
    assert (tmp_path / "plain").read_bytes()[:2] == b"\x1f\x8b"
    assert list(tfrecord.read(tmp_path / "plain")) == [record]


def test_a_block_that_was_whole_before_the_damage_is_handed_out(tmp_path):
    """What was read before the damage was right."""
    path = damaged(tmp_path, lambda content: set_byte(content, 38 + 20))
    blocks = tfrecord.read_blocks(path, size=20)
    assert list(next(blocks).records()) == [b"one"]
    with pytest.raises(Refused, match="record 3"):
        list(blocks)
