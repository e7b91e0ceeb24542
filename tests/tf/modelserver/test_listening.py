"""Where gRPC listens: on a port, on a Unix socket that replaces another, and with certificates."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.cluster.authority import Authority, Identity
from tests.tf.modelserver.conftest import Start
from tfcanary.tf.modelserver.__main__ import main
from tfcanary.tf.modelserver.rpc import channel_settings
from tfcanary.tf.wire import messages, tensor


def predicted(channel: grpc.Channel) -> Sequence[float]:
    """What the model `half` answers for 2."""
    call = channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        messages.PredictRequest.SerializeToString,
        messages.PredictResponse.FromString,
    )
    request = messages.PredictRequest(model_spec={"name": "half"}, inputs={"x": tensor.to_proto(np.float32([2]))})
    return list(call(request, timeout=20).outputs["y"].float_val)


def test_an_existing_socket_is_replaced(start: Start, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    flags = (f"--grpc_socket_path={path}", "--grpc_channel_arguments=grpc.max_concurrent_streams=7,grpc.lb_policy_name=x")
    server = start(*flags, models={"half": models / "half"}).await_ports()
    assert f"Running gRPC ModelServer at UNIX socket {path} ..." in server.output()
    for address in (f"unix:{path}", server.grpc):
        with grpc.insecure_channel(address) as channel:
            assert predicted(channel) == [4.0]


def test_settings_of_grpc_are_numbers_where_they_look_like_numbers() -> None:
    assert list(channel_settings("")) == []
    assert list(channel_settings("a=1,b=x=y,c=-2,d=")) == [("a", 1), ("b", "x=y"), ("c", -2), ("d", "")]


def quoted(path: Path) -> str:
    return path.read_text().replace("\n", "\\n")


def ssl_config(server: Identity, authority: Authority) -> str:
    return (
        f'server_key: "{quoted(server.key)}" server_cert: "{quoted(server.certificate)}" '
        f'custom_ca: "{quoted(authority.file)}" client_verify: true'
    )


def test_clients_prove_who_they_are_where_the_file_says_so(start: Start, models: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("server", "server", names=["localhost"]), authority.issue("client", "client")
    (tmp_path / "ssl.config").write_text(ssl_config(server, authority))
    running = start(f"--ssl_config_file={tmp_path}/ssl.config", models={"half": models / "half"}).await_ports()
    address = f"localhost:{running.grpc.rpartition(':')[2]}"
    known = grpc.ssl_channel_credentials(authority.file.read_bytes(), client.key.read_bytes(), client.certificate.read_bytes())
    with grpc.secure_channel(address, known) as channel:
        assert predicted(channel) == [4.0]
    unknown = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(address, unknown) as channel, pytest.raises(grpc.RpcError):
        predicted(channel)


def test_certificates_that_cannot_be_used_end_the_start(start: Start, models: Path, tmp_path: Path) -> None:
    for number, text in enumerate(('client_verify: true server_key: "x" server_cert: "y"', 'server_key: "x" server_cert: "y"')):
        (tmp_path / f"{number}.config").write_text(text)
        server = start(f"--ssl_config_file={tmp_path}/{number}.config", models={"half": models / "half"})
        assert server.wait() == 255
        assert "Failed to start server. Error: INVALID_ARGUMENT: " in server.output()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tfcanary-model-server ")
