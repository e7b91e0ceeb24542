"""Versions come and go, fail and warm up; a server that cannot start says so and ends with 255."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running, config
from tfcanary.tf.wire import messages, tensor, tfrecord


@pytest.fixture
def base(models: Path, tmp_path: Path) -> Path:
    """A base path of our own with version 1 in it."""
    shutil.copytree(models / "half/1", tmp_path / "base/1")
    return tmp_path / "base"


def states(server: Running, model: str = "m") -> dict[str, tuple[str, str]]:
    found = server.get(f"/v1/models/{model}").json["model_version_status"]
    return {one["version"]: (one["state"], one["status"]["error_code"]) for one in found}


def eventually(server: Running, expected: dict[str, tuple[str, str]]) -> None:
    until = time.monotonic() + 20
    while (found := states(server)) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.05)


def with_policy(base: Path, policy: str) -> dict[str, str]:
    return {"m": f'name: "m" base_path: "{base}" model_platform: "tensorflow" model_version_policy {{ {policy} }}'}


def test_flags_alone_name_a_model_too(start: Start, models) -> None:
    server = start("--model_name=m", f"--model_base_path={models}/half").await_ports()
    assert states(server) == {"2": ("AVAILABLE", "OK")}


@pytest.mark.parametrize(
    ("policy", "served"),
    [("", ["2"]), ("latest { num_versions: 2 }", ["1", "2"]), ("all {}", ["1", "2"]), ("specific { versions: 1 }", ["1"])],
)
def test_the_policy_says_which_versions_are_served(start: Start, models, policy: str, served: list[str]) -> None:
    server = start(models=with_policy(models / "half", policy)).await_ports()
    assert list(states(server)) == served


def test_a_new_version_takes_over_and_a_bad_one_does_not(start: Start, models, base) -> None:
    server = start("--file_system_poll_wait_seconds=1", "--model_name=m", f"--model_base_path={base}").await_ports()
    assert server.predict("m", {"instances": [2.0]}).json == {"predictions": [3.0]}
    (base / "5").mkdir()
    eventually(server, {"1": ("AVAILABLE", "OK"), "5": ("END", "NOT_FOUND")})
    assert server.predict("m", {"instances": [2.0]}).json == {"predictions": [3.0]}
    shutil.copytree(models / "half/2", base / "not-a-version")
    (base / "not-a-version").rename(base / "7")
    eventually(server, {"1": ("END", "OK"), "5": ("END", "NOT_FOUND"), "7": ("AVAILABLE", "OK")})
    assert server.predict("m", {"instances": [2.0]}).json == {"predictions": [4.0]}


def test_a_server_waits_for_a_first_version_with_closed_ports(start: Start, models, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    server = start("--file_system_poll_wait_seconds=1", "--model_name=m", f"--model_base_path={tmp_path}/empty")
    shutil.copytree(models / "half/1", tmp_path / "aside")
    assert not (server.folder / "ports.json").exists()
    (tmp_path / "aside").rename(tmp_path / "empty/3")
    assert states(server.await_ports()) == {"3": ("AVAILABLE", "OK")}


def test_a_model_that_cannot_be_loaded_ends_the_start_with_255(start: Start, tmp_path) -> None:
    (tmp_path / "base/4").mkdir(parents=True)
    server = start("--model_name=m", f"--model_base_path={tmp_path}/base")
    assert server.wait() == 255
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 4} due to error: "
        f"NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}/base/4. "
    ) in server.output()
    assert not (server.folder / "ports.json").exists()


def test_a_load_is_tried_again_as_often_as_told(start: Start, tmp_path, base) -> None:
    shutil.move(base / "1/saved_model.pb", tmp_path / "saved_model.pb")
    flags = ("--max_num_load_retries=100", "--load_retry_interval_micros=100000", "--model_name=m", f"--model_base_path={base}")
    server = start(*flags)
    while server.output().count("failed: NOT_FOUND: Could not find SavedModel") < 2:
        time.sleep(0.02)
    shutil.move(tmp_path / "saved_model.pb", base / "1/saved_model.pb")
    path = f'{{model_path="{base}/1",status='
    assert server.await_ports().metric(f':tensorflow:cc:saved_model:load_attempt_count{path}"success"') == 1
    assert server.metric(f':tensorflow:cc:saved_model:load_attempt_count{path}"fail"') >= 2


def test_a_half_written_model_is_available_and_fails_each_request(start: Start, base) -> None:
    (base / "1/variables/variables.index").unlink()
    server = start("--model_name=m", f"--model_base_path={base}").await_ports()
    assert states(server) == {"1": ("AVAILABLE", "OK")}
    reply = server.predict("m", {"instances": [1.0]})
    assert reply.status == 400
    assert server.metric(':tensorflow:serving:request_count{model_name="m",status="FAILED_PRECONDITION"}') == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "Invalid protobuf file"),
        (config({"m": Path("/nowhere")}).replace('"tensorflow"', '"caffe"'), 'model_platform "caffe": must be "tensorflow"'),
        (config({"m": Path("/nowhere")}).replace("config {", "nix: 1 config {"), "Invalid protobuf file"),
        (config({"m": Path("relative/path")}), "to have an absolute path or URI; got base_path()=relative/path"),
        (config({"m": Path("/bucket/m")}).replace("/bucket", "gs://bucket"), "this server reads directories only"),
        ("model_config_list { config { } }", "has no name"),
        (config({"m": Path("/a"), "n": Path("/b")}).replace('"n"', '"m"'), "Illegal to list model m multiple times in config list"),
        (config({"m": 'name: "m" base_path: "/a" model_platform: "tensorflow" logging_config { }'}), "No request-logger-creator provided."),
        (
            config({"m": 'name: "m" base_path: "/a" model_platform: "tensorflow" version_labels { key: "stable" value: 1 }'}),
            "Request to assign label to version 1 of model m, which is not currently available for inference",
        ),
    ],
)
def test_a_config_that_cannot_be_used_ends_the_start(start: Start, tmp_path, text: str, message: str) -> None:
    (tmp_path / "models.cfg").write_text(text)
    server = start(f"--model_config_file={tmp_path}/models.cfg")
    assert server.wait() == 255
    assert message in server.output()


def test_without_a_model_there_is_nothing_to_serve(start: Start) -> None:
    server = start()
    assert server.wait() == 255
    assert "nothing to serve" in server.output()


def test_a_port_that_is_taken_ends_the_start(start: Start, models, server: Running) -> None:
    for flag in (f"--rest_api_port={server.rest.rpartition(':')[2]}", f"--port={server.grpc.rpartition(':')[2]}"):
        second = start(flag, "--model_name=m", f"--model_base_path={models}/half")
        assert second.wait() == 255
        assert "Failed to start server" in second.output()


def warmup(folder: Path, *requests: messages.PredictRequest) -> None:
    (folder / "assets.extra").mkdir()
    logs = (messages.PredictionLog(predict_log={"request": request}).SerializeToString() for request in requests)
    tfrecord.write(folder / "assets.extra/tf_serving_warmup_requests", logs)


def request(values: list[float], alias: str = "x") -> messages.PredictRequest:
    import numpy as np

    return messages.PredictRequest(model_spec={"name": "m"}, inputs={alias: tensor.to_proto(np.array(values, np.float32))})


def test_warm_up_requests_are_run_before_anything_is_served_and_are_no_requests(start: Start, base) -> None:
    warmup(base / "1", request([1, 2]), request([3]))
    server = start("--model_name=m", f"--model_base_path={base}").await_ports()
    assert server.metric(':tensorflow:serving:runtime_latency_count{model_name="m"') == 2
    assert ":tensorflow:serving:request_latency_count{" not in server.page()


def test_a_warm_up_request_that_fails_fails_the_load(start: Start, base) -> None:
    warmup(base / "1", request([1]), request([1], alias="nix"))
    server = start("--model_name=m", f"--model_base_path={base}")
    assert server.wait() == 255
    assert "due to error: INVALID_ARGUMENT: input size does not match signature: 1!=1 len({nix}) != len({x})" in server.output()
    again = start("--model_name=m", f"--model_base_path={base}", "--enable_model_warmup=false").await_ports()
    assert states(again) == {"1": ("AVAILABLE", "OK")}


@pytest.mark.parametrize("content", [b"no tfrecord at all", tfrecord.frame(b"\xff\xff"), tfrecord.frame(b"")])
def test_a_warm_up_file_that_is_none_fails_the_load(start: Start, base, content: bytes) -> None:
    warmup(base / "1")
    (base / "1/assets.extra/tf_serving_warmup_requests").write_bytes(content)
    server = start("--model_name=m", f"--model_base_path={base}")
    assert server.wait() == 255
    assert "due to error: " in server.output()
