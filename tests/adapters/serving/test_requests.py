"""Recorded requests: every format gives the same requests, and what cannot be read is named by file and line."""

from __future__ import annotations

import gzip
import json
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfcanary.adapters.serving import requests as recorded
from tfcanary.adapters.serving.requests import open_requests
from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.tf.wire import messages, tensor, tfrecord


def read(path, limit=100):
    return list(open_requests(str(path)).requests(limit))


def lines(path, *objects):
    path.write_text("\n".join(map(json.dumps, objects)))
    return path


def predict_log(signature="", **inputs):
    log = messages.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, values in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tensor.to_proto(np.asarray(values)))
    return log.SerializeToString()


def test_a_line_is_a_predict_body_with_label_and_id(tmp_path):
    path = lines(
        tmp_path / "golden.jsonl",
        {"instances": [[1.0, 2.0]], "label": 2, "id": "first"},
        {"inputs": {"x": [[1.0]]}, "signature_name": "other", "label": "setosa"},
        {"instances": [[1], [2]]},
    )
    assert read(path) == [
        Request({"instances": [[1.0, 2.0]]}, "first", 2),
        Request({"inputs": {"x": [[1.0]]}, "signature_name": "other"}, "golden.jsonl:2", "setosa"),
        Request({"instances": [[1], [2]]}, "golden.jsonl:3", None),
    ]


def test_empty_lines_are_skipped_and_counted(tmp_path):
    (tmp_path / "x").write_text('\n{"instances": [1]}\n\n{"instances": [2]}\n\n')
    assert [request.id for request in read(tmp_path / "x")] == ["x:2", "x:4"]


def test_the_limit_holds_and_nothing_after_it_is_read(tmp_path):
    (tmp_path / "x").write_text('{"instances": [1]}\n{"instances": [2]}\nno JSON\n')
    assert len(read(tmp_path / "x", limit=2)) == 2


def test_parquet_has_request_label_and_id(tmp_path):
    table = pa.table({"request": ['{"instances": [[1.0]]}', '{"instances": [[2.0]]}'], "label": [1, None], "id": ["a", None]})
    pq.write_table(table, tmp_path / "golden.parquet")
    assert read(tmp_path / "golden.parquet") == [
        Request({"instances": [[1.0]]}, "a", 1),
        Request({"instances": [[2.0]]}, "golden.parquet:2", None),
    ]


def test_a_label_that_is_nan_is_no_label(tmp_path):
    pq.write_table(pa.table({"request": ['{"instances": [1]}'] * 2, "label": [1.0, float("nan")]}), tmp_path / "x")
    assert [request.label for request in read(tmp_path / "x")] == [1.0, None]


def server_log(path, *rows):
    names = ("at", "id", "model", "version", "signature", "request", "response", "status")
    pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)


def test_a_servers_log_is_a_folder_of_parquet_files_in_name_order_and_what_cannot_be_asked_again_is_passed_over(tmp_path):
    server_log(tmp_path / "0002.parquet", (3.0, "c", "iris", 42, "serving_default", '{"instances": [3]}', '{"predictions": [3]}', 200))
    server_log(
        tmp_path / "0001.parquet",
        (1.0, "a", "iris", 42, "other", '{"instances": [1], "ignored": 1}', '{"predictions": [1]}', 200),
        (1.5, "", "iris", 42, "", '{"examples": [{"x": 1}]}', '{"results": [1]}', 200),
        (1.6, "", "iris", 42, "", '{"instances": [1]} and more', '{"predictions": [1]}', 200),
        (2.0, "b", "iris", 42, "", '{"instances": "broken"}', '{"error": "no"}', 400),
    )
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden").write_text("no requests")
    assert read(tmp_path) == [
        Request({"instances": [1], "signature_name": "other"}, "a"),
        Request({"instances": [3], "signature_name": "serving_default"}, "c"),
    ]


def test_a_row_of_a_log_without_id_is_named_after_its_place(tmp_path):
    server_log(tmp_path / "log.parquet", (1.0, "", "iris", 42, "", '{"instances": [1]}', '{"predictions": [1]}', 200))
    assert [request.id for request in read(tmp_path)] == ["log.parquet:1"]


def test_the_log_of_our_own_server_is_read(tmp_path):
    from tfcanary.tf.modelserver.request_log import LogEntry, RequestLogWriter

    log = RequestLogWriter(tmp_path, 1.0, 2, 60.0, lambda model, outcome: None)
    for i in range(3):
        log.put(LogEntry(id=f"r{i}", model="iris", request=b'{"instances": [%d]}' % i, response=b'{"predictions": [1]}', version=42))
    log.close()
    assert [(request.id, request.body) for request in read(tmp_path)] == [(f"r{i}", {"instances": [i]}) for i in range(3)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_prediction_log_becomes_a_columnar_body(tmp_path, compressed):
    path = tmp_path / "prediction_logs-00000-of-00001"
    one = predict_log("other", x=np.array([[1.5, np.nan]], np.float32), word=np.array([b"\xc3\xbc", b"\xff"], object))
    tfrecord.write(path, [one, predict_log(x=[1, 2])], compressed)
    first, second = read(path)
    assert first.id == "prediction_logs-00000-of-00001:1"
    assert first.body["signature_name"] == "other"
    assert first.body["inputs"]["word"] == ["ü", {"b64": "/w=="}]
    assert first.body["inputs"]["x"][0][0] == 1.5
    assert second.body == {"inputs": {"x": [1, 2]}}
    assert "NaN" in json.dumps(first.body)


def test_a_log_written_by_the_original_api_is_read(tmp_path):
    tf = pytest.importorskip("tensorflow")
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "serving_default"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([[0.5, 2.0]]))
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        writer.write(log.SerializeToString())
    assert read(tmp_path / "log") == [Request({"inputs": {"x": [[0.5, 2.0]]}, "signature_name": "serving_default"}, "log:1")]


def test_a_saved_model_gives_its_warm_up_requests(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(Refused, match="tf_serving_warmup_requests: no such file"):
        open_requests(str(tmp_path))
    tfrecord.write(tmp_path / "assets.extra/tf_serving_warmup_requests", [predict_log(x=[1.0])])
    assert [request.body for request in read(tmp_path)] == [{"inputs": {"x": [1.0]}}]


def test_a_file_uri_is_local_and_a_bucket_is_not(tmp_path):
    path = lines(tmp_path / "x", {"instances": [1]})
    assert len(read(f"file://{path}")) == 1
    with pytest.raises(Refused, match="gs://bucket/x: requests are read from local files"):
        open_requests("gs://bucket/x")


def test_an_empty_file_has_no_requests(tmp_path):
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == []


def test_no_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(Refused, match="no such file"):
        open_requests(str(tmp_path / "missing.jsonl"))
    with pytest.raises(Refused, match="no files"):
        open_requests(str(tmp_path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no JSON", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ('{"instances": [\ud800]}'.encode("utf-8", "surrogatepass"), "not JSON"),
        ("[1, 2]", r"not \[1, 2\]"),
        ('{"instances": [1], "inputs": [1]}', "exactly one of"),
        ('{"signature_name": "x"}', "exactly one of"),
        ('{"instances": []}', "not a list with rows"),
        ('{"instances": {"x": 1}}', "not a list with rows"),
        ('{"instances": [1], "signature_name": 3}', "'signature_name' is 3"),
        ('{"instances": [1], "lable": 3}', "unknown key 'lable'; did you mean 'label'?"),
        ('{"instances": [1], "label": [3]}', "neither a number nor a text"),
        ('{"instances": [1, 2], "label": 3}', "a label belongs to one row; 'instances' has 2"),
    ],
)
def test_a_line_that_is_no_request_is_refused_with_its_number(tmp_path, line, reason):
    path = tmp_path / "golden.jsonl"
    path.write_bytes(b'{"instances": [1]}\n' + (line if isinstance(line, bytes) else line.encode()))
    with pytest.raises(Refused, match=f"golden.jsonl: line 2: .*{reason.replace('?', '.')}"):
        read(path)


def test_a_line_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "LARGEST_REQUEST", 30)
    path = lines(tmp_path / "x", {"instances": [1]}, {"instances": [1] * 20})
    with pytest.raises(Refused, match="line 2: more than 30 bytes"):
        read(path)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": ["{}"]}, "column 'request' with REST predict bodies is missing; there are text"),
        ({"request": ['{"instances": [1]}', "no JSON"]}, "row 2: not JSON"),
        ({"request": ['{"instances": [1]}', None]}, "row 2: 'request' is None"),
        ({"request": [1]}, "row 1: 'request' is 1"),
    ],
)
def test_a_row_that_is_no_request_is_refused_with_its_number(tmp_path, columns, reason):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(Refused, match=f"x.parquet: {reason}"):
        read(tmp_path / "x.parquet")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"request": ['{"instances": [1]}'] * 1000}), tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    for content in (whole[:-20], b"PAR1", whole[:10] + b"\xff" * 30 + whole[40:]):
        (tmp_path / "x.parquet").write_bytes(content)
        with pytest.raises(Refused, match=r"x.parquet"):
            read(tmp_path / "x.parquet", limit=2000)


def test_a_column_that_unpacks_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "LARGEST_CHUNK", 1000)
    pq.write_table(pa.table({"request": [json.dumps({"instances": [i]}) for i in range(1000)]}), tmp_path / "x.parquet")
    with pytest.raises(Refused, match=r"row group 0: .* bytes in one column"):
        read(tmp_path / "x.parquet")


def test_a_record_that_is_no_predict_request_is_refused_with_its_number(tmp_path):
    classify, empty = messages.PredictionLog(), messages.PredictionLog()
    classify.classify_log.request.model_spec.name = "iris"
    empty.predict_log.request.model_spec.name = "iris"
    for record, reason in (
        (classify.SerializeToString(), "holds classify_log; only predict requests"),
        (b"", "holds no PredictionLog"),
        (empty.SerializeToString(), "without inputs"),
        (b"\xff\xff", "not a PredictionLog"),
        (predict_log(z=np.array([1j])), "input 'z': complex"),
    ):
        tfrecord.write(tmp_path / "log", [predict_log(x=[1]), record])
        with pytest.raises(Refused, match=f"log: record 2: .*{reason}"):
            read(tmp_path / "log")


def test_a_tensor_that_unfolds_beyond_the_limit_is_refused(tmp_path):
    log = messages.PredictionLog()
    proto = log.predict_log.request.inputs["x"]
    proto.dtype, proto.tensor_shape.dim.add().size = 1, 1 << 40
    tfrecord.write(tmp_path / "log", [log.SerializeToString()])
    with pytest.raises(Refused, match=r"record 1: input 'x': .*at most"):
        read(tmp_path / "log")


def test_packed_json_lines_are_refused_as_no_tfrecord(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"instances": [1]}\n'))
    with pytest.raises(Refused, match="not a TFRecord file"):
        read(tmp_path / "x.jsonl.gz")


def test_requests_are_read_one_at_a_time(tmp_path):
    """A million lines cost nothing to look at two."""
    path = tmp_path / "x"
    with path.open("w") as file:
        file.writelines('{"instances": [1]}\n' for _ in range(1_000_000))
    assert len(list(islice(open_requests(str(path)).requests(1_000_000), 2))) == 2
