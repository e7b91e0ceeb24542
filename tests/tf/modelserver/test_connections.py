"""Connections of clients that are slow, silent or gone: an end, never a thread or memory that they hold for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.tf.modelserver.served import Running
from tfcanary.tf.modelserver import http, http_protocol
from tfcanary.tf.modelserver.rest import HttpRequest, HttpResponse
from tfcanary.tf.wire import messages

HEAD = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"


class Rest:
    """A REST API that answers with the length of the body."""

    def handle(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, str(len(request.body)).encode())

    def refuse(self, status: int, code: str, message: str) -> HttpResponse:
        return HttpResponse(status, message.encode())


def talk(client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, Any]], keep_alive: float = 60) -> Any:
    """Let a client talk to a server in this process, and return what it returns."""

    async def run() -> Any:
        config = uvicorn.Config(
            http.Application(Rest(), threads=4, is_quick=True), http=http_protocol.HttpProtocol, ws="none", timeout_keep_alive=keep_alive
        )
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: http_protocol.HttpProtocol(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            return await asyncio.wait_for(client(reader, writer), 20)
        finally:
            writer.close()
            server.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "sent", [HEAD, HEAD + b"\r\n{", b"P", HEAD.replace(b"Content-Length: 20", b"Transfer-Encoding: chunked") + b"\r\n5\r\nab"]
)
def test_a_request_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.1)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(sent)
        return await reader.read()

    assert talk(client) == b""


def test_a_request_that_trickles_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.3)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        sent = 0
        writer.write(HEAD)
        while sent < 400 and not reader.at_eof():
            writer.write(b"a: b\r\n")
            sent += 1
            await asyncio.sleep(0.01)
        return sent

    assert talk(client) < 400


def test_a_connection_without_any_request_is_closed() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return await reader.read()

    assert talk(client, keep_alive=0.1) == b""


def test_a_head_without_end_is_refused() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD)
        for _ in range(http_protocol.MAX_HEAD_SIZE // 1000 + 5):
            writer.write(b"x-header: " + b"y" * 1000 + b"\r\n")
        return await reader.read()

    assert talk(client).startswith(b"HTTP/1.1 400")


def test_a_client_that_closes_its_half_still_gets_its_response() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD + b"\r\n" + b"{" * 20)
        writer.write_eof()
        return await reader.read()

    answer = talk(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"20")


def test_a_client_that_closes_its_half_too_early_gets_none() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD + b"\r\n{")
        writer.write_eof()
        return await reader.read()

    assert talk(client) == b""


def test_a_connection_that_is_used_again_keeps_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.2)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        answers = []
        for _ in range(4):
            writer.write(HEAD + b"\r\n" + b"{" * 20)
            answers.append((await reader.readuntil(b"\r\n\r\n"))[:15] + await reader.readexactly(2))
            await asyncio.sleep(0.1)
        return answers

    assert talk(client) == [b"HTTP/1.1 200 OK20"] * 4


def test_bodies_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_WAITING_SIZE", 10)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD + b"\r\n" + b"{" * 20)
        return await reader.read()

    assert talk(client).startswith(b"HTTP/1.1 503")


def test_clients_that_vanish_leave_a_server_that_answers(server: Running) -> None:
    parts = urlsplit(server.rest)
    for sent in (b"", b"P", HEAD, HEAD + b"\r\n{", b"\r\n" * 1000, HEAD * 50):
        for _ in range(5):
            with socket.create_connection((parts.hostname, parts.port)) as connection:
                connection.sendall(sent)
    assert server.predict("half", {"instances": [2.0]}).json == {"predictions": [4.0]}


def test_small_messages_that_stand_for_huge_tensors_are_refused(server: Running) -> None:
    shape = {"dim": [{"size": 1 << 16}, {"size": 1 << 10}]}  # 256 MiB of the same number
    huge = messages.TensorProto(dtype=1, tensor_shape=shape, float_val=[1])
    beyond = messages.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1 << 40}]}, float_val=[1])
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict", messages.PredictRequest.SerializeToString)
        for inputs in ({str(number): huge for number in range(50)}, {"x": beyond}):
            with pytest.raises(grpc.RpcError) as caught:
                call(messages.PredictRequest(model_spec={"name": "half"}, inputs=inputs), timeout=20)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "are read" in caught.value.details()
