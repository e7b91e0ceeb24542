"""Columns out of PredictionLog files: the values are protobuf's, whatever the bytes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import messages, tensor, tfrecord
from tfcanary.tf.wire.prediction_logs import PredictionLogColumns, decode_prediction_logs, read_prediction_logs


def log(inputs, outputs=None, typed=False) -> bytes:
    record = messages.PredictionLog()
    record.log_metadata.model_spec.name = "iris"
    record.predict_log.request.model_spec.signature_name = "serving_default"
    record.predict_log.request.output_filter.append("scores")
    for name, array in inputs.items():
        record.predict_log.request.inputs[name].CopyFrom(tensor.to_proto(np.asarray(array), typed))
    for name, array in (outputs or {}).items():
        record.predict_log.response.outputs[name].CopyFrom(tensor.to_proto(np.asarray(array), typed))
    return record.SerializeToString()


def block_of(records: list[bytes]) -> tfrecord.RecordBlock:
    lengths = np.array([len(record) for record in records], np.int64)
    return tfrecord.RecordBlock(b"".join(records), 1, np.cumsum(lengths) - lengths, np.cumsum(lengths))


def values(logs: PredictionLogColumns) -> list[tuple[dict, dict]]:
    """The flat values and rows of every tensor, record by record; a tensor without values counts as missing."""
    found = []
    for record in range(logs.records):
        pair = []
        for tensors in (logs.inputs, logs.outputs):
            here = {}
            for name, one in tensors.items():
                begin = int(one.column.counts[:record].sum())
                count = int(one.column.counts[record])
                if count:
                    here[name] = (one.column.values[begin : begin + count].tolist(), int(one.rows[record]))
            pair.append(here)
        found.append(tuple(pair))
    return found


def by_protobuf(records: list[bytes]) -> list[tuple[dict, dict]]:
    found = []
    for record in records:
        predict = messages.PredictionLog.FromString(record).predict_log
        pair = []
        for tensors in (predict.request.inputs, predict.response.outputs):
            read = {name: tensor.to_array(proto) for name, proto in tensors.items()}
            pair.append({name: (a.ravel().tolist(), a.shape[0] if a.ndim else 1) for name, a in read.items() if a.size})
        found.append(tuple(pair))
    return found


def same(ours, theirs) -> bool:
    """Equal as numbers, NaN included: a whole number may have become a float beside others."""

    def plain(pairs):
        return [
            [sorted((n, [float(v) if not isinstance(v, bytes) else v for v in x], rows) for n, (x, rows) in one.items()) for one in pair]
            for pair in pairs
        ]

    return repr(plain(ours)) == repr(plain(theirs))


KIND = st.sampled_from(["f4", "f8", "i8", "i4", "f2", "?", "u1", "u8"]).map(np.dtype)
SHAPE = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
NUMBERS = arrays.arrays(KIND, SHAPE, elements=None)
TEXTS = st.lists(st.binary(max_size=150), max_size=4).map(lambda texts: np.array(texts, object))
TENSORS = st.fixed_dictionaries({}, optional={"x": NUMBERS, "long_name_of_an_input": NUMBERS, "text": TEXTS})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(TENSORS, TENSORS, st.booleans()), min_size=1, max_size=6))
def test_any_predict_logs_read_as_protobuf_reads_them(logs):
    records = [log(*one) for one in logs]
    assert same(values(decode_prediction_logs(block_of(records))), by_protobuf(records))


@pytest.mark.parametrize("typed", [False, True], ids=["content", "typed"])
def test_tensors_have_their_kinds_and_rows(typed):
    records = [
        log({"x": np.ones((2, 4), np.float32), "id": np.array([7, -8])}, {"scores": np.zeros((2, 3))}, typed),
        log({"x": np.ones((1, 4), np.float32), "word": np.array([b"a", b"b"], object), "flag": np.int32(5)}, {}, typed),
    ]
    logs = decode_prediction_logs(block_of(records))
    x = logs.inputs["x"]
    assert (x.column.values.dtype, x.column.counts.tolist(), x.rows.tolist()) == (np.float32, [8, 4], [2, 1])
    assert logs.inputs["id"].column.values.tolist() == [7, -8]
    assert (logs.inputs["flag"].column.counts.tolist(), logs.inputs["flag"].rows.tolist()) == ([0, 1], [0, 1])
    assert logs.inputs["word"].column.values.tolist() == [b"a", b"b"]
    assert logs.outputs["scores"].column.values.dtype == np.float64


def test_a_file_of_tensorflow_reads(tf, tmp_path):
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(tmp_path / "log"), "GZIP") as writer:
        for i in range(100):
            record = prediction_log_pb2.PredictionLog()
            record.log_metadata.timestamp_secs = 1_700_000_000 + i
            record.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([[float(i), 2.0]]))
            record.predict_log.response.outputs["label"].CopyFrom(tf.make_tensor_proto([f"class {i}"]))
            writer.write(record.SerializeToString())
    (logs,) = read_prediction_logs(tmp_path / "log")
    assert logs.records == 100
    assert logs.inputs["x"].column.values[::2].tolist() == list(range(100))
    assert logs.outputs["label"].column.values.tolist()[99] == b"class 99"


def changed(**fields) -> bytes:
    """A log whose tensor is written in another way than usual."""
    record = messages.PredictionLog()
    record.predict_log.request.inputs["x"].CopyFrom(messages.TensorProto(**fields))
    return record.SerializeToString()


FOUR = {"dim": [{"size": 4}]}


def test_a_map_entry_with_an_unknown_field_is_dropped_as_protobuf_drops_it():
    entry = b"\x0a\x01z\x12\x08\x08\x01\x2a\x04\x00\x00\x80\x3f\x1a\x01?"
    request = b"\x12" + bytes([len(entry)]) + entry
    predict = b"\x0a" + bytes([len(request)]) + request
    records = [log({"x": [1.0]}), b"\x32" + bytes([len(predict)]) + predict]
    assert by_protobuf(records)[1] == ({}, {})
    assert same(values(decode_prediction_logs(block_of(records))), by_protobuf(records))


@pytest.mark.parametrize(
    "record",
    [
        changed(dtype=1, tensor_shape=FOUR, float_val=[0.5]),  # the last value stands for the rest
        changed(dtype=9, tensor_shape=FOUR),  # no values: zeros
        changed(dtype=19, tensor_shape=FOUR, half_val=[15360] * 4),
        changed(dtype=14, tensor_shape=FOUR, half_val=[16256] * 4),
        changed(dtype=7, tensor_shape=FOUR, string_val=[b"a"]),
        changed(dtype=3, tensor_shape=FOUR, int_val=[1, -2, 3, -(2**31)]),
        log({"x": np.ones(3)}) + log({"x": np.zeros(2)}),
        log({"x": np.ones(3)}) + b"\x0d1234",
    ],
)
def test_a_record_that_is_written_in_an_unusual_way_reads_all_the_same(record):
    plain = log({"y": [1.0]})
    records = [plain, record, plain]
    assert same(values(decode_prediction_logs(block_of(records))), by_protobuf(records))
    assert by_protobuf(records)[1][0]


def test_texts_in_some_records_and_numbers_in_others_are_refused():
    with pytest.raises(Refused, match="'x' holds texts in some records and numbers in others"):
        decode_prediction_logs(block_of([log({"x": [1.0]}), log({"x": np.array([b"a"], object)})]))


CLASSIFY = messages.PredictionLog(classify_log={"request": {"model_spec": {"name": "m"}}}).SerializeToString()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (CLASSIFY, "holds classify_log; only predict requests have tensors"),
        (log({"x": [1.0]}) + CLASSIFY, "holds classify_log"),
        (b"", "holds no PredictionLog"),
        (b"\xff", "not a PredictionLog"),
        (changed(dtype=1, tensor_shape={"dim": [{"size": 1 << 40}]}, float_val=[1.0]), "at most"),
        (changed(dtype=1, tensor_shape={"unknown_rank": True}), "known in full"),
        (changed(dtype=1, tensor_shape={"dim": [{"size": 1}] * 33}), "rank 33"),
        (changed(dtype=8, tensor_shape=FOUR, scomplex_val=[1.0, 2.0]), "complex"),
        (changed(dtype=20), "DT_RESOURCE"),
    ],
)
def test_what_has_no_tensors_is_refused_with_its_number(tmp_path, record, reason):
    tfrecord.write(tmp_path / "log", [log({"x": [1.0]}), record])
    with pytest.raises(Refused, match=f"log: record 2: .*{reason}"):
        list(read_prediction_logs(tmp_path / "log"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_bytes_end_in_right_values_or_refused(data):
    """What surrounds the tensors (metadata, names of models) is not looked at, and may be broken."""
    record = bytearray(log(data.draw(TENSORS), data.draw(TENSORS), data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(record) - 1))
        if data.draw(st.booleans()):
            record[at] = data.draw(st.integers(0, 255))
        else:
            del record[at : at + data.draw(st.integers(0, 2))]
            record[at:at] = data.draw(st.binary(max_size=2))
    records = [log({"y": [1.0]}), bytes(record)]
    try:
        ours = values(decode_prediction_logs(block_of(records)))
    except Refused:
        return
    with contextlib.suppress(DecodeError):
        assert same(ours, by_protobuf(records))
