"""Versions come and go, fail and warm up; a server that cannot start says so and ends with 255."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import Running, config
from tfcanary.tf.modelserver.__main__ import main
from tfcanary.tf.modelserver.configs import read_models
from tfcanary.tf.modelserver.server_options import Options
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


def test_the_graph_with_the_tags_of_the_flag_is_loaded(start: Start, models: Path) -> None:
    server = start("--saved_model_tags=serve,gpu", models={"half": models / "half"})
    assert server.wait() == 255
    assert "Could not find meta graph def matching supplied tags: { gpu serve }." in server.output()


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


def of_m(rest: str) -> str:
    return config({"m": f'name: "m" base_path: "/a" {rest}'})


NEITHER = "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform."
BOTH = "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "INVALID_ARGUMENT: Invalid protobuf file: '{file}'"),
        (of_m('model_platform: "tensorflow" nix: 1'), "INVALID_ARGUMENT: Invalid protobuf file: '{file}'"),
        ('[{"model_config_list": []}]', "INVALID_ARGUMENT: Invalid protobuf file: '{file}'"),
        (of_m('model_platform: "caffe"'), "INVALID_ARGUMENT: Model m requests unsupported platform caffe"),
        (of_m(""), f"INVALID_ARGUMENT: {NEITHER}"),
        (of_m('model_platform: "tensorflow" model_type: TENSORFLOW'), f"INVALID_ARGUMENT: {BOTH}"),
        (of_m("model_type: OTHER"), "INVALID_ARGUMENT: ModelServerConfig::model_type choice 2 not supported."),
        (
            config({"m": Path("relative/path")}),
            "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()=relative/path",
        ),
        (
            config({"m": Path("/bucket/m")}).replace("/bucket", "gs://bucket"),
            "INVALID_ARGUMENT: base_path gs://bucket/m: this server reads",
        ),
        ("model_config_list { config { } }", "INVALID_ARGUMENT: model_config_list: a config has no name"),
        (
            config({"m": Path("/a"), "n": Path("/b")}).replace('"n"', '"m"'),
            "INVALID_ARGUMENT: Illegal to list model m multiple times in config list",
        ),
        (of_m('model_platform: "tensorflow" logging_config { }'), "INVALID_ARGUMENT: No request-logger-creator provided."),
        ("custom_model_config { }", "INVALID_ARGUMENT: ModelServer does not yet support custom model config."),
        (
            of_m('model_platform: "tensorflow" version_labels { key: "stable" value: 1 }'),
            "FAILED_PRECONDITION: Request to assign label to version 1 of model m, which is not currently available for inference",
        ),
    ],
)
def test_a_config_that_cannot_be_used_ends_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "models.cfg").write_text(text)
    assert main([f"--model_config_file={tmp_path}/models.cfg", "--port=1"]) == 255
    assert f"Failed to start server. Error: {message.format(file=tmp_path / 'models.cfg')}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (["--model_config_file=/no/file"], "NOT_FOUND: /no/file; No such file or directory"),
        (["--port=0"], "INVALID_ARGUMENT: At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."),
        (
            ["--model_base_path=/a", "--batching_parameters_file=/b"],
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting server_options.enable_batching to true.",
        ),
        (["--model_base_path=/a", "--monitoring_config_file=/no/file"], "NOT_FOUND: /no/file; No such file or directory"),
        (
            [f"--tensorflow_{kind}_parallelism=1" for kind in ("session", "intra_op", "inter_op")],
            "INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism or",
        ),
    ],
)
def test_flags_that_cannot_be_used_end_the_start(capsys: pytest.CaptureFixture[str], flags: list[str], message: str) -> None:
    assert main(flags) == 255
    assert f"Failed to start server. Error: {message}" in capsys.readouterr().err


def test_where_a_file_is_wrong_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models.cfg").write_text("model_config_list {\n  nix: 1\n}")
    main([f"--model_config_file={tmp_path}/models.cfg"])
    assert capsys.readouterr().err.startswith("Error parsing text-format tensorflow.serving.ModelServerConfig: 2:3")


@pytest.mark.parametrize(
    "text",
    [
        # Colons and commas wherever the format allows them, and a comment.
        'model_config_list: {\n  config: {\n    name: "m", # a\n    base_path: "BASE",\n    model_platform: "tensorflow",\n  },\n}\n',
        "model_config_list { config { name: 'm' base_path: 'BASE' model_platform: 'tensorflow' model_version_policy { all {} } } }",
        'model_config_list { config { name: "m" base_path: "BASE" model_type: TENSORFLOW } }',
    ],
)
def test_a_config_as_people_write_it_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.cfg").write_text(text.replace("BASE", str(tmp_path)))
    models = read_models(Options(model_config_file=f"{tmp_path}/models.cfg"))
    assert models is not None
    assert [(model.name, model.base_path) for model in models] == [("m", tmp_path)]


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
    server = start("--model_name=m", f"--model_base_path={base}", "--num_request_iterations_for_warmup=3").await_ports()
    assert server.metric(':tensorflow:serving:runtime_latency_count{model_name="m"') == 6
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
