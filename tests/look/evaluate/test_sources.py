"""Data sets in every form that people keep them in give the same counts, and what cannot be read says where."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import compare, merge, to_bytes
from tfcanary.look.evaluate.sources import Selection, count, layout_of, pieces
from tfcanary.tf.wire import messages, tensor, tfrecord

ROWS = 300
RNG = np.random.default_rng(0)
TABLE = pa.table({"n": np.round(RNG.normal(0, 1, ROWS), 3), "s": RNG.choice(["a", "b"], ROWS), "at": np.arange(ROWS) + 1_000})
BODY = [{"instances": [{"x": [1.0, float(i)], "s": "é"}]} for i in range(20)]
ANSWER = [{"predictions": [[0.1, 0.9]]} for _ in range(20)]


def example(row):
    one = messages.Example()
    one.features.feature["n"].float_list.value.append(row["n"])
    one.features.feature["s"].bytes_list.value.append(row["s"].encode())
    one.features.feature["at"].int64_list.value.append(row["at"])
    return one.SerializeToString()


def prediction_log(i, rows=2):
    log = messages.PredictionLog()
    log.log_metadata.timestamp_secs = 1_700_000_000 + i
    log.predict_log.request.inputs["x"].CopyFrom(tensor.to_proto(np.full((rows, 3), float(i))))
    log.predict_log.request.inputs["word"].CopyFrom(tensor.to_proto(np.array([b"a"] * rows, object)))
    log.predict_log.response.outputs["y"].CopyFrom(tensor.to_proto(np.array([[0.5], [float(i)]][:rows])))
    return log.SerializeToString()


WRITERS = {
    "p.parquet": lambda p: pq.write_table(TABLE, p, row_group_size=70),
    "a.arrow": lambda p: _ipc(p, pa.ipc.new_file),
    "a.arrows": lambda p: _ipc(p, pa.ipc.new_stream),
    "c.csv": lambda p: pa.csv.write_csv(TABLE, p),
    "c.csv.gz": lambda p: p.write_bytes(gzip.compress("\n".join(["n,s,at", *map(_line, TABLE.to_pylist())]).encode())),
    "l.jsonl": lambda p: p.write_text("\n".join(map(json.dumps, TABLE.to_pylist()))),
    "t.tfrecord": lambda p: tfrecord.write(p, map(example, TABLE.to_pylist())),
    "t.tfrecord.gz": lambda p: tfrecord.write(p, map(example, TABLE.to_pylist()), compressed=True),
}


def _ipc(path, new):
    with new(str(path), TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=100)


def _line(row):
    return f"{row['n']},{row['s']},{row['at']}"


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_counts(tmp_path, name):
    WRITERS[name](tmp_path / name)
    got = count(pieces(tmp_path / name))
    assert got.rows == ROWS
    assert [t.column.name for t in got.tallies] == ["at", "n", "s"]
    assert dict(zip(got.of("s").keys.to_pylist(), got.of("s").counts.tolist(), strict=True)) == {
        b"a": TABLE["s"].to_pylist().count("a"),
        b"b": TABLE["s"].to_pylist().count("b"),
    }
    whole = count(pieces(tmp_path / name), chosen=Selection(columns=("n",), time="at", since=_at(1_100), until=_at(1_150)))
    assert (whole.rows, [t.column.name for t in whole.tallies]) == (50, ["n"])


def _at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def test_a_folder_is_all_its_files_and_its_pieces_merge_to_the_same_bytes(tmp_path):
    for day in range(3):
        (tmp_path / f"day={day}").mkdir()
        pq.write_table(TABLE, tmp_path / f"day={day}" / "x.parquet", row_group_size=70)
    (tmp_path / "_SUCCESS").write_text("")
    parts = pieces(tmp_path)
    assert len(parts) == 15
    layout = layout_of(parts)
    shards = [count([piece], layout) for piece in parts]
    assert to_bytes(merge(shards[::-1])) == to_bytes(count(parts, layout))
    told = []
    assert count(parts, progress=lambda done, total: told.append(done == total)).rows == 3 * ROWS
    assert told == [False] * 14 + [True]


def test_sorted_rows_get_a_layout_from_all_over(tmp_path):
    pq.write_table(pa.table({"x": np.sort(RNG.uniform(0, 1e6, 200_000))}), tmp_path / "x", row_group_size=20_000)
    centre = count(pieces(tmp_path / "x")).of("x").column.centres[0]
    assert 3e5 < centre < 7e5, "not the median of the first rows"


def test_prediction_logs_are_a_row_for_each_row_of_a_request(tmp_path):
    tfrecord.write(tmp_path / "log", [prediction_log(i, rows=1 + i % 2) for i in range(20)])
    got = count(pieces(tmp_path / "log"))
    assert got.rows == 30
    assert [t.column.name for t in got.tallies] == ["input.word", "input.x", "input.x[0]", "input.x[1]", "input.x[2]", "output.y"]
    window = Selection(since=_at(1_700_000_005), until=_at(1_700_000_010))
    assert count(pieces(tmp_path / "log"), chosen=window).rows == 8


def kserve(i, what, body):
    content = b64encode(json.dumps(body).encode()).decode()
    kind = f"org.kubeflow.serving.inference.{what}"
    return {
        "url": "http://x",
        "bytes": content,
        "contentType": "application/json",
        "reqType": kind,
        "id": f"r{i}",
        "component": "predictor",
    }


def pairs():
    return [kserve(i, *half) for i in range(20) for half in (("request", BODY[i]), ("response", ANSWER[i]))]


def test_records_of_kserves_logger_are_joined_by_id_in_all_its_forms(tmp_path):
    for name in ("batch", "single", "tables", "lines"):
        (tmp_path / name).mkdir()
    (tmp_path / "batch" / "1.json").write_text(json.dumps(pairs()))
    for n, one in enumerate(pairs()[:2]):
        (tmp_path / "single" / f"{n}.json").write_text(json.dumps(one))
    pq.write_table(pa.Table.from_pylist(pairs()), tmp_path / "tables" / "1.parquet")
    pa.csv.write_csv(pa.Table.from_pylist(pairs()), tmp_path / "tables" / "2.csv")
    for folder, rows, dropped in (("batch", 20, 0), ("single", 1, 0), ("tables", 40, 0)):
        got = count(pieces(tmp_path / folder))
        assert (got.rows, got.dropped) == (rows, dropped)
        assert "input.x[1]" in [t.column.name for t in got.tallies]
        assert got.of("input.s").keys.to_pylist() == ["é".encode()]


def test_what_has_no_partner_or_no_body_is_dropped_and_the_comparison_says_so(tmp_path):
    records = [kserve(i, "request", BODY[i % 20]) for i in range(1_000)]
    records += [kserve(i, "response", ANSWER[i % 20]) for i in range(880)]
    (tmp_path / "1.json").write_text(json.dumps(records))
    got = count(pieces(tmp_path / "1.json"))
    assert (got.rows, got.dropped) == (880, 120)
    (tmp_path / "2.json").write_text(json.dumps([one for i in range(1_000) for one in (records[i % 880], records[1_000 + i % 880])]))
    whole = count(pieces(tmp_path / "2.json"), got.layout)
    found = {c.name: c for c in compare(whole, got).columns}["(rows that could not be read)"]
    assert found.finding == "fail"
    assert found.reason.startswith("12 % of the current data and 0 % of the reference: dropped")


def test_a_cloud_event_and_an_envoy_tap_are_requests_with_a_time(tmp_path):
    event = {"specversion": "1.0", "id": "7", "time": "2026-01-01T10:00:00Z"}
    asked = {**event, "type": "org.kubeflow.serving.inference.request", "data": BODY[0]}
    given = {**event, "type": "org.kubeflow.serving.inference.response", "data": ANSWER[0]}
    (tmp_path / "events.json").write_text("\n".join(map(json.dumps, (asked, given))))
    trace = {
        "request": {"headers": [], "body": {"truncated": False, "as_string": json.dumps(BODY[0])}},
        "response": {
            "headers": [{"key": ":status", "value": "200"}, {"key": "date", "value": "Thu, 01 Jan 2026 11:00:00 GMT"}],
            "body": {"truncated": False, "as_bytes": b64encode(json.dumps(ANSWER[0]).encode()).decode()},
        },
    }
    (tmp_path / "tap_1.json").write_text(json.dumps({"http_buffered_trace": trace}, indent=1))
    assert count(pieces(tmp_path)).rows == 2
    late = Selection(since=datetime(2026, 1, 1, 10, 30, tzinfo=UTC))
    assert count(pieces(tmp_path), chosen=late).rows == 1


def test_a_window_needs_a_time(tmp_path):
    WRITERS["p.parquet"](tmp_path / "p")
    (tmp_path / "k").write_text(json.dumps(pairs()))
    since = Selection(since=_at(0))
    for name, chosen, sentence in (
        ("p", since, "a window needs --time-column, the column with the time of a row; there are n, s, at"),
        ("p", Selection(time="when", since=_at(0)), "column 'when' of the window is missing"),
        ("k", since, "the records have no time, so rows cannot be selected by time"),
    ):
        with pytest.raises(Refused, match=sentence):
            count(pieces(tmp_path / name), chosen=chosen)


def broken(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    return path


@pytest.mark.parametrize(
    ("name", "spoil", "sentence"),
    [
        ("p.parquet", lambda b: b[:-20], "p.parquet: cannot be read as Parquet"),
        ("a.arrow", lambda b: b[:400], "a.arrow: cannot be read as Arrow"),
        ("t.tfrecord", lambda b: b[:-3], "t.tfrecord: record 300: the file ends in the middle of it"),
        ("t.tfrecord", lambda b: b[:20] + b"?" + b[21:], "t.tfrecord: record 1: the checksum of its content is wrong: damaged"),
        ("t.tfrecord.gz", lambda b: b[:-30], "t.tfrecord.gz: damaged GZIP"),
        ("c.csv", lambda b: b + b"1,2,3,4,5\n", "c.csv: cannot be read as CSV"),
        ("l.jsonl", lambda b: b[:100] + b"{" + b[100:], "l.jsonl: cannot be read as JSON lines"),
        ("l.jsonl", lambda b: b'{"n": "text"}\n' + b, "l.jsonl: cannot be read as JSON lines"),
        ("l.jsonl", lambda b: b"", "l.jsonl: is empty; Parquet, Arrow, CSV"),
        ("l.jsonl", lambda b: b"hello\nyou", "begins with 'hello', which is no known format"),
        ("l.jsonl", lambda b: b"\x00\x01hello", "begins with the bytes 00 01 68 65 6c 6c 6f, which is no known format"),
    ],
)
def test_what_is_damaged_is_refused_with_its_place(tmp_path, name, spoil, sentence):
    path = broken(tmp_path, name)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(Refused, match=sentence):
        count(pieces(path))


def test_a_name_that_occurs_twice_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,a\n1,2,3\n")
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "x.parquet")
    for name in ("x.csv", "x.parquet"):
        with pytest.raises(Refused, match=f"{name}.*: column 'a' occurs twice: names must be unique"):
            count(pieces(tmp_path / name))


def test_hostile_records_of_loggers_are_dropped_or_refused(tmp_path):
    path = tmp_path / "x.json"
    for text, rows, dropped in (
        ('[{"http_buffered_trace": 7}]', 0, 1),
        ('{"http_buffered_trace": {"request": {"body": {"as_bytes": "?"}}, "response": {}}}', 0, 1),
        ('[{"id": "1", "bytes": "????", "reqType": "request"}, {"id": "1", "bytes": 3, "reqType": "response"}]', 0, 1),
    ):
        path.write_text(text)
        got = count(pieces(path))
        assert (got.rows, got.dropped) == (rows, dropped), text
    path.write_text("[" * 5_000 + "]" * 5_000)
    with pytest.raises(Refused, match=r"cannot be read as a JSON list .an object is expected, not a list in a list"):
        count(pieces(path))


def test_damage_inside_a_row_group_names_it(tmp_path):
    path = broken(tmp_path, "p.parquet")
    content = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        at = file.metadata.row_group(2).column(0).data_page_offset
    content[at : at + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"p.parquet: row group 2: cannot be read as Parquet"):
        count(pieces(path))


def test_a_column_that_changes_its_type_between_files_names_file_row_group_and_column(tmp_path):
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["1.0"]}), tmp_path / "b.parquet")
    with pytest.raises(
        Refused, match=r"b.parquet: row group 0: column 'x' holds category values, before it number values: make it one type"
    ):
        count(pieces(tmp_path))


def test_a_million_columns_nothing_and_folders_of_nothing_are_refused(tmp_path):
    wide = pa.table({f"c{i}": pa.array([], pa.int8()) for i in range(10_001)})
    pq.write_table(wide, tmp_path / "wide.parquet")
    with pytest.raises(Refused, match="10001 columns; at most 10000 are compared: select the important ones"):
        count(pieces(tmp_path / "wide.parquet"))
    (tmp_path / "empty").mkdir()
    for path, sentence in ((tmp_path / "empty", "no files"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(Refused, match=sentence):
            pieces(path)


def test_values_of_mixed_types_are_refused_with_the_column(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"x": 1}\n{"x": "one"}\n')
    with pytest.raises(Refused, match=r"m\.jsonl: cannot be read as JSON lines \(.*x.*number to string"):
        count(pieces(tmp_path / "m.jsonl"))


def test_texts_that_are_no_utf_8_are_values_like_others(tmp_path):
    (tmp_path / "latin.csv").write_bytes("city\nK\xf6ln\nK\xf6ln\nBonn\n".encode("latin-1"))
    assert count(pieces(tmp_path / "latin.csv")).of("city").counts.tolist() == [1, 2]


def test_a_dictionary_with_a_million_values_is_counted_whatever_of_it_occurs(tmp_path):
    names = pa.array([f"value {i}" for i in range(1_000_000)])
    one = pa.DictionaryArray.from_arrays(pa.array([999_999, 0, 999_999], pa.int32()), names)
    with pa.ipc.new_file(str(tmp_path / "d.arrow"), pa.schema([("x", one.type)])) as writer:
        writer.write_batch(pa.record_batch({"x": one}))
    got = count(pieces(tmp_path / "d.arrow")).of("x")
    assert dict(zip(got.keys.to_pylist(), got.counts.tolist(), strict=True)) == {b"value 0": 1, b"value 999999": 2}


def test_a_json_list_of_rows_is_a_table(tmp_path):
    rows = [{"age": 18 + i % 42, "city": "Oslo"} for i in range(500)]
    (tmp_path / "rows.json").write_text("\ufeff" + json.dumps(rows), encoding="utf-8")
    got = count(pieces(tmp_path / "rows.json"))
    assert (got.rows, got.dropped, [one.column.name for one in got.tallies]) == (500, 0, ["age", "city"])
    (tmp_path / "cut.json").write_text(json.dumps(rows)[:-1])
    with pytest.raises(Refused, match="the list does not end"):
        count(pieces(tmp_path / "cut.json"))


def test_a_table_whose_columns_are_called_like_a_loggers_keys_is_a_table(tmp_path):
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps({"request": "GET", "response": i, "status": "ok"}) + "\n" for i in range(50)))
    (tmp_path / "events.csv").write_text("id,type,specversion,value\n" + "".join(f"{i},a,1,{i}\n" for i in range(50)))
    for name in ("calls.jsonl", "events.csv"):
        got = count(pieces(tmp_path / name))
        assert (got.rows, got.dropped) == (50, 0), name


TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
ODD = {
    "a text for a number": {"instances": [["abc", "1"]]},
    "a row of another shape": {"instances": [1.0]},
    "an input that nobody else sends": {"instances": [{"y": 1}]},
    "a scalar": {"inputs": 5.0},
    "scalars beside rows": {"inputs": {"x": [[1.0]], "dropout": 1.0}},
    "a shape of no rows": {"inputs": [{**TENSOR, "shape": [0, 2]}]},
    "a shape of texts": {"inputs": [{**TENSOR, "shape": ["-1", 2]}]},
    "a name that is a list": {"inputs": [{**TENSOR, "name": ["x"]}]},
    "a name that is a number": {"inputs": [{**TENSOR, "name": 7}]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_one_strangers_request_is_dropped_and_hides_no_other(tmp_path, odd):
    asked = [{"instances": [[float(i), 1.0]]} for i in range(200)]
    halves = [(i, half) for i, body in enumerate(asked) for half in (("request", body), ("response", {"predictions": [[0.1, 0.9]]}))]
    records = [kserve(i, *half) for i, half in halves]
    records += [kserve(999, "request", odd), kserve(999, "response", {"error": "refused"})]
    (tmp_path / "log.json").write_text(json.dumps(records))
    got = count(pieces(tmp_path / "log.json"))
    assert (got.rows, got.dropped) == (200, 1)
    assert [one.column.name for one in got.tallies if "[" not in one.column.name] == ["input.value", "output.value"]
