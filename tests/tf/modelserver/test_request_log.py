"""The sampled request log: whole files, honest counts, and never a request that waits for it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import pyarrow.parquet
import pytest

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running
from tfcanary.tf.modelserver import request_log
from tfcanary.tf.modelserver.request_log import LogEntry, RequestLogWriter
from tfcanary.tf.wire import messages, tensor, tfrecord


class OutcomeCounter(Counter[str]):
    """Outcomes, as the page would count them."""

    def __call__(self, model: str, outcome: str) -> None:
        self[outcome] += 1


def rows(folder: Path) -> list[dict]:
    """All rows of all files, in the order of their names."""
    return [row for file in sorted(folder.glob("*.parquet")) for row in pyarrow.parquet.read_table(file).to_pylist()]


def entry(number: int = 0, **others) -> LogEntry:
    return LogEntry(**{"id": str(number), "model": "m", "request": b'{"instances": [1]}', "response": b"{}", **others})


def test_each_request_is_a_row_with_all_there_is_to_know(start: Start, models, tmp_path) -> None:
    flags = (f"--request_log_dir={tmp_path}/log", "--request_log_sample=1")
    server = start(*flags, models={"half": models / "half", "strict": models / "strict"}).await_ports()
    before = time.time()
    server.predict("half", {"instances": [2.0]}, **{"x-request-id": "first"})
    server.predict("strict", {"signature_name": "total", "inputs": [1, 2]})
    server.predict("strict", b'{"instances": [-1.0]}')
    server.predict("nix", b"{}")
    server.get("/v1/models/half")
    server.terminate()
    assert server.wait() == 0
    first, second, third, fourth = rows(tmp_path / "log")
    assert before <= first.pop("at").timestamp() <= time.time()
    assert first == {
        "id": "first",
        "model": "half",
        "version": 2,
        "signature": "serving_default",
        "request": '{"instances": [2.0]}',
        "response": '{"predictions":[4.0]}',
        "status": 200,
    }
    assert (second["id"], second["signature"], second["response"]) == ("", "total", '{"outputs":3.0}')
    assert (third["status"], third["response"][:30]) == (400, '{ "error": "assertion failed: ')
    assert (fourth["model"], fourth["version"], fourth["status"]) == ("nix", None, 404)


def test_a_request_over_grpc_is_kept_in_its_rest_form(start: Start, models, tmp_path) -> None:
    server = start(f"--request_log_dir={tmp_path}/log", "--request_log_sample=1", models={"pair": models / "pair"}).await_ports()
    inputs = {"a": tensor.to_proto(np.float32([[1, 2]])), "b": tensor.to_proto(np.int64([3]))}
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict", messages.PredictRequest.SerializeToString)
        call(messages.PredictRequest(model_spec={"name": "pair"}, inputs=inputs), timeout=20, metadata=[("x-request-id", "g")])
        with pytest.raises(grpc.RpcError):
            call(messages.PredictRequest(model_spec={"name": "pair"}, inputs={"a": inputs["a"]}), timeout=20)
    server.terminate()
    assert server.wait() == 0
    first, second = rows(tmp_path / "log")
    assert (first["id"], first["request"]) == ("g", '{"inputs":{"a":[[1.0,2.0]],"b":[3]}}')
    assert first["response"] == '{"outputs":{"sum":[6.0],"twice":[6]}}'
    assert (second["status"], second["request"]) == (400, '{"inputs":[[1.0,2.0]]}')


def test_a_tfrecord_log_has_a_message_of_every_kind_of_request_that_succeeded(start: Start, models, tmp_path) -> None:
    flags = (f"--request_log_dir={tmp_path}/log", "--request_log_sample=1", "--request_log_format=tfrecord")
    server = start(*flags, models={"half": models / "half", "examples": models / "examples"}).await_ports()
    server.predict("half", {"instances": [2.0]})
    server.predict("half", {"instances": ["x"]})
    server.call("POST", "/v1/models/examples:classify", {"examples": [{"age": 16.0}]})
    server.call("POST", "/v1/models/examples:regress", {"signature_name": "regress", "examples": [{"age": 16.0}]})
    spec, source = {"name": "examples"}, messages.Input(example_list={"examples": [messages.Example()]})
    source.example_list.examples[0].features.feature["age"].float_list.value.append(16)
    several = [{"model_spec": spec, "method_name": "tensorflow/serving/classify"}]
    with grpc.insecure_channel(server.grpc) as channel:
        for method, request in [
            ("Predict", messages.PredictRequest(model_spec={"name": "half"}, inputs={"x": tensor.to_proto(np.float32([2]))})),
            ("Predict", messages.PredictRequest(model_spec={"name": "half"})),
            ("Classify", messages.ClassificationRequest(model_spec=spec, input=source)),
            ("MultiInference", messages.MultiInferenceRequest(tasks=several, input=source)),
        ]:
            call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}", type(request).SerializeToString)
            with contextlib.suppress(grpc.RpcError):
                call(request, timeout=20)
    server.terminate()
    assert server.wait() == 0
    [file] = (tmp_path / "log").iterdir()
    logs = [messages.PredictionLog.FromString(record) for record in tfrecord.read(file)]
    kinds = ["predict_log", "classify_log", "regress_log", "predict_log", "classify_log", "multi_inference_log"]
    assert [log.WhichOneof("log_type") for log in logs] == kinds
    first = logs[0]
    assert (first.log_metadata.model_spec.name, first.log_metadata.model_spec.version.value) == ("half", 2)
    assert first.log_metadata.model_spec.signature_name == "serving_default"
    assert abs(first.log_metadata.timestamp_secs - time.time()) < 60
    assert tensor.to_array(first.predict_log.request.inputs["x"]).tolist() == [2.0]
    assert tensor.to_array(logs[3].predict_log.response.outputs["y"]).tolist() == [4.0]
    assert logs[1].classify_log.response.result.classifications[0].classes[0].score == 0.25
    assert logs[2].regress_log.response.result.regressions[0].value == 8.0
    # The file is a warm-up file as it is.
    shutil.copytree(models / "half/2", tmp_path / "half/2")
    (tmp_path / "half/2/assets.extra").mkdir()
    tfrecord.write(tmp_path / "half/2/assets.extra/tf_serving_warmup_requests", [logs[0].SerializeToString()])
    warm = start("--model_name=half", f"--model_base_path={tmp_path}/half").await_ports()
    assert warm.metric(':tensorflow:serving:runtime_latency_count{model_name="half",API="Predict",runtime="TF1"}') == 1


def test_a_format_that_does_not_exist_is_refused(start: Start, models) -> None:
    server = start("--request_log_format=csv", models={"half": models / "half"})
    assert server.wait() == 255
    assert "--request_log_format=csv: must be parquet or tfrecord" in server.output()


def test_a_reader_never_sees_half_a_file(start: Start, models, tmp_path) -> None:
    flags = (f"--request_log_dir={tmp_path}/log", "--request_log_sample=1", "--request_log_rows=7", "--request_log_seconds=0.05")
    server = start(*flags, models={"half": models / "half"}).await_ports()
    ended, seen = threading.Event(), [0]

    def read() -> None:
        while not ended.is_set():
            seen[0] = len(rows(tmp_path / "log"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        server.predict("half", {"instances": [number]})
    server.terminate()
    assert server.wait() == 0
    ended.set()
    reader.join()
    assert [row["request"] for row in rows(tmp_path / "log")] == [f'{{"instances": [{number}]}}' for number in range(200)]
    assert not list((tmp_path / "log").glob(".*"))


def test_a_file_has_no_name_before_it_is_complete(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, found = request_log._write_file, []

    def save_and_look(entries: list[LogEntry], path: Path) -> None:
        save(entries, path)
        found.append(len(list(tmp_path.glob("*.parquet"))))

    monkeypatch.setattr(request_log, "_write_file", save_and_look)
    log = RequestLogWriter(tmp_path, 1.0, 2, 60, OutcomeCounter())
    for number in range(6):
        log.put(entry(number))
    log.close()
    assert found == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_kept_is_counted(start: Start, models, tmp_path) -> None:
    flags = (f"--request_log_dir={tmp_path}/log", "--request_log_sample=1", "--request_log_rows=3")
    server = start(*flags, models={"half": models / "half"}).await_ports()
    for _ in range(3):
        server.predict("half", {"instances": [1]})
    while server.metric(':tensorflow:serving:request_log_count{model_name="half",status_code="OK"}') < 3:
        time.sleep(0.02)
    assert len(rows(tmp_path / "log")) == 3


def test_without_a_folder_nothing_is_kept(server: Running) -> None:
    server.predict("half", {"instances": [1]})
    assert ":tensorflow:serving:request_log_count{" not in server.page()


def test_the_sample_is_a_share_and_an_id_is_always_in_it_or_never(tmp_path) -> None:
    quarter, none, every = (RequestLogWriter(tmp_path, share, 10, 10, OutcomeCounter()) for share in (0.25, 0.0, 1.0))
    ids = [str(number) for number in range(10_000)]
    chosen = [quarter.is_sampled(one) for one in ids]
    assert 2300 < sum(chosen) < 2700
    assert chosen == [quarter.is_sampled(one) for one in ids]
    assert 2300 < sum(quarter.is_sampled("") for _ in ids) < 2700
    assert not any(none.is_sampled(one) for one in ids)
    assert all(every.is_sampled(one) for one in ids)
    for log in (quarter, none, every):
        log.close()


def test_when_the_disk_is_slow_requests_are_dropped_and_counted(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, save = threading.Event(), request_log._write_file
    monkeypatch.setattr(request_log, "_write_file", lambda entries, path: gate.wait(20) and save(entries, path))
    outcomes = OutcomeCounter()
    log = RequestLogWriter(tmp_path, 1.0, 5, 60, outcomes)
    total = request_log.QUEUE_LENGTH + 100
    for number in range(total):
        log.put(entry(number))
    dropped = outcomes["RESOURCE_EXHAUSTED"]
    assert dropped >= 90
    gate.set()
    log.close()
    assert (outcomes["OK"], outcomes["RESOURCE_EXHAUSTED"]) == (total - dropped, dropped)
    assert len(rows(tmp_path)) == total - dropped


def test_what_is_too_large_is_dropped(tmp_path) -> None:
    outcomes = OutcomeCounter()
    log = RequestLogWriter(tmp_path, 1.0, 5, 60, outcomes)
    log.put(entry(request=b"x" * (request_log.MAX_BODY_SIZE + 1)))
    log.put(entry(response=b"x" * request_log.MAX_BODY_SIZE))
    log.close()
    assert (outcomes["RESOURCE_EXHAUSTED"], outcomes["OK"], len(rows(tmp_path))) == (1, 1, 1)


def test_a_file_has_a_limit_of_bytes(tmp_path) -> None:
    log = RequestLogWriter(tmp_path, 1.0, 10_000, 60, OutcomeCounter())
    for number in range(200):
        log.put(entry(number, response=b"x" * request_log.MAX_BODY_SIZE))
    log.close()
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert [row["id"] for row in rows(tmp_path)] == [str(number) for number in range(200)]


def test_a_folder_that_vanishes_costs_rows_and_not_the_server(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = OutcomeCounter()
    log = RequestLogWriter(tmp_path / "log", 1.0, 1, 60, outcomes)
    (tmp_path / "log").rmdir()
    log.put(entry())
    log.put(entry(signature="\ud800", id="\udcff"))
    while outcomes["INTERNAL"] < 2:
        time.sleep(0.01)
    (tmp_path / "log").mkdir()
    log.put(entry(signature="\ud800"))
    log.close()
    assert outcomes["OK"] == 1
    assert "request log: requests-" in capsys.readouterr().err
