"""A running server takes over another config: from its file, and by HandleReloadConfigRequest."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running, config
from tfcanary.tf.wire import messages


def reload(server: Running, text: str, *metrics: str, timeout: float = 30) -> Any:
    request = messages.ReloadConfigRequest(metric_names=metrics)
    text_format.Parse(text, request.config, descriptor_pool=messages.POOL)
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
            messages.ReloadConfigRequest.SerializeToString,
            messages.ReloadConfigResponse.FromString,
        )
        return call(request, timeout=timeout)


def refusal(server: Running, text: str, **others) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        reload(server, text, **others)
    return caught.value.code().name, caught.value.details()


def half(models: Path, policy: str, labels: str = "") -> str:
    text = f'name: "half" base_path: "{models}/half" model_platform: "tensorflow" model_version_policy {{ {policy} }} {labels}'
    return config({"half": text})


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


def eventually(question) -> None:
    until = time.monotonic() + 20
    while not question():
        assert time.monotonic() < until
        time.sleep(0.05)


def predicted(server: Running, target: str) -> Any:
    return server.predict(target, {"instances": [2.0]}).json.get("predictions")


@pytest.fixture
def running(start: Start, models: Path) -> Running:
    server = start("--file_system_poll_wait_seconds=1", models={"half": half(models, "specific { versions: 1 }")[28:-4]})
    return server.await_ports()


def test_a_new_model_serves_when_the_request_returns_and_the_old_one_is_gone(running: Running, models: Path) -> None:
    response = reload(running, config({"pair": models / "pair"}), "/tensorflow/cc/saved_model/load_attempt_count", "/no/such/metric")
    assert running.predict("pair", {"instances": [{"a": [1.0, 2.0], "b": 3}]}).status == 200
    assert running.predict("half", {"instances": [2.0]}).status == 404
    assert response.status.error_code == 0
    increases = {metric.name: metric.int64_value_increase for metric in response.metric}
    assert increases == {"/tensorflow/cc/saved_model/load_attempt_count": 0, "/no/such/metric": 0}
    eventually(lambda: running.get("/v1/models/half").json["model_version_status"][0]["state"] == "END")


def test_labels_move_at_once_and_only_to_what_serves(running: Running, models: Path) -> None:
    too_early = half(models, "specific { versions: 1 versions: 2 }", label("stable", 1) + label("canary", 2))
    assert refusal(running, too_early) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 2 of model half, which is not currently available for inference",
    )
    assert [one["version"] for one in running.get("/v1/models/half").json["model_version_status"]] == ["1"]
    reload(running, half(models, "specific { versions: 1 versions: 2 }", label("stable", 1)))
    assert predicted(running, "half/labels/stable") == [3.0]
    eventually(lambda: predicted(running, "half/versions/2") == [4.0])
    reload(running, half(models, "specific { versions: 1 versions: 2 }", label("stable", 2)))
    assert predicted(running, "half/labels/stable") == [4.0]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "INVALID_ARGUMENT", "type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"),
        ("custom_model_config { }", "INVALID_ARGUMENT", "custom model config"),
        (config({"half": 'name: "half" base_path: "/a" model_platform: "caffe"'}), "INVALID_ARGUMENT", "unsupported platform caffe"),
    ],
)
def test_a_config_that_is_refused_changes_nothing(running: Running, text: str, code: str, message: str) -> None:
    found = refusal(running, text)
    assert found[0] == code
    assert message in found[1]
    assert predicted(running, "half") == [3.0]


def test_a_new_model_that_cannot_be_loaded_is_said(running: Running, models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad/3").mkdir(parents=True)
    code, message = refusal(running, config({"half": models / "half", "bad": tmp_path / "bad"}))
    assert code == "UNKNOWN"
    assert message.startswith("1 model(s) did not become available: {{{name: bad version: 3} due to error: NOT_FOUND: Could not find")
    assert running.predict("half", {"instances": [2.0]}).status == 200


def test_a_new_model_without_a_base_path_is_waited_for_and_others_come_after_whoever_left(running: Running, models: Path) -> None:
    assert refusal(running, config({"gone": Path("/no/where")}), timeout=1)[0] == "DEADLINE_EXCEEDED"
    reload(running, config({"pair": models / "pair"}))
    assert running.predict("pair", {"instances": [{"a": [1.0, 2.0], "b": 3}]}).status == 200


def test_a_changed_config_file_is_taken_over_and_a_wrong_one_is_not(start: Start, models: Path) -> None:
    server = start("--file_system_poll_wait_seconds=1", "--model_config_file_poll_wait_seconds=1", models={"half": models / "half"})
    server.await_ports()
    file = server.folder / "models.cfg"
    file.write_text("model_config_list {")
    eventually(lambda: f"Failed to read ModelServerConfig file: Invalid protobuf file: '{file}'" in server.output())
    assert predicted(server, "half") == [4.0]
    file.write_text(half(models, "specific { versions: 1 }", label("stable", 1)))
    eventually(lambda: "PollFilesystemAndReloadConfig failed to ReloadConfig: Request to assign label to version 1" in server.output())
    file.write_text(half(models, "specific { versions: 1 }"))
    eventually(lambda: predicted(server, "half") == [3.0])
    file.write_text("")
    eventually(lambda: "Cannot transition to requested config." in server.output())
    assert predicted(server, "half") == [3.0]


def test_no_request_fails_while_the_versions_change_under_it(start: Start, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "half/1", tmp_path / "base/1")
    server = start("--file_system_poll_wait_seconds=1", models={"m": tmp_path / "base"}).await_ports()
    done = []

    def ask() -> None:
        while not done:
            assert server.predict("m", {"instances": [2.0]}).json in ({"predictions": [3.0]}, {"predictions": [4.0]})

    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(ask) for _ in range(8)]
        shutil.copytree(models / "half/2", tmp_path / "aside")
        (tmp_path / "aside").rename(tmp_path / "base/2")
        eventually(lambda: server.get("/v1/models/m").json["model_version_status"][0]["state"] == "END")
        done.append(True)
        for client in clients:
            client.result()


def test_what_a_base_path_lacks_is_said_while_the_server_waits(start: Start, models: Path) -> None:
    server = start("--file_system_poll_wait_seconds=1", models={"half": models / "half", "gone": Path("/no/where")})
    missing = "Could not find base path /no/where for servable gone with error NOT_FOUND: /no/where not found"
    eventually(lambda: f"FileSystemStoragePathSource encountered a filesystem access error: {missing}" in server.output())
    assert not (server.folder / "ports.json").exists()
