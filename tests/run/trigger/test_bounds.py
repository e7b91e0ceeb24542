"""Who may call, how much, and how slowly: the server's doors, over real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path

import pytest

from tests.run.trigger.conftest import TOKEN, Client, Site, document, serving_on, until
from tfcanary.run.trigger.dispatch import DispatcherThread
from tfcanary.run.web import bounded_requests, bounded_server


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "é" * 20, "a" * 30_000])
def test_without_the_token_nothing_is_taken(site: Site, server: Client, token: str, caplog: pytest.LogCaptureFixture) -> None:
    stranger = Client(server.port, token.encode().decode("latin-1"))
    for path in ("/events", "/alerts", "/models/digits/candidates"):
        status, answer = stranger.post(path, {"model_uri": site.export(7)})
        assert status in (400, 401), answer
        assert TOKEN not in json.dumps(answer)
    assert site.record().heard == ()
    assert not token or token not in caplog.text


def test_a_stranger_is_answered_before_his_body_is_read(server: Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
        assert _last(connection) == b"401"


def test_a_token_that_changes_is_read_again(site: Site, tmp_path: Path) -> None:
    with serving_on(tmp_path, document()) as server:
        (tmp_path / "token").write_text("another-token-0123456")
        assert server.offer(site.export(7))[0] == 401
        assert Client(server.port, "another-token-0123456").offer(site.export(7))[0] == 202
        (tmp_path / "token").unlink()
        assert Client(server.port, "another-token-0123456").offer(site.export(8))[0] == 503


def test_health_and_metrics_need_no_token_and_everything_else_is_not_found(server: Client) -> None:
    stranger = Client(server.port, "")
    assert stranger.ask("GET", "/healthz") == (200, {"ok": True})
    assert stranger.ask("GET", "/readyz") == (200, {"ok": True})
    assert "tfcanary_trigger_waiting" in stranger.raw("GET", "/metrics")[1]
    assert stranger.ask("GET", "/")[0] == 404
    assert stranger.ask("GET", "/events")[0] == 405
    assert stranger.ask("DELETE", "/models/digits/candidates")[0] == 405


def test_a_dispatcher_that_has_ended_is_no_health(site: Site, server: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.ask("GET", "/healthz")[0] == 200
    (one,) = [thread for thread in threading.enumerate() if thread.name == "dispatcher of digits"]
    assert isinstance(one, DispatcherThread)
    one.stop()
    one.join(10)
    assert server.ask("GET", "/healthz") == (503, {"wrong": "the dispatcher of digits has ended"})


def test_a_body_that_is_too_large_is_not_read_to_its_end(server: Client) -> None:
    assert server.ask("POST", "/events", b"x" * (bounded_requests.LARGEST + 1))[0] == 413
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST /events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(bounded_requests.LARGEST // 0x4000 + 1):
                connection.sendall(piece)
        assert _last(connection) in (b"413", b""), "closed before the body's end; the answer may be lost on the way"


def test_packed_bodies_are_refused(server: Client) -> None:
    assert server.ask("POST", "/events", b"x", content_encoding="gzip")[0] == 415


def test_whoever_sends_slowly_is_cut_off_and_others_are_answered(server: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_server, "HEAD", 0.5)
    monkeypatch.setattr(bounded_requests, "SLOWEST", 0.5)
    head = f"POST /events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 10\r\n\r\nx"
    begun = [b"", b"POST /ev", head.encode()]
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(60)]
    try:
        for i, one in enumerate(connections):
            one.sendall(begun[i % 3])
        assert server.ask("GET", "/healthz")[0] == 200
        ends = [_last(one) for one in connections]
    finally:
        for one in connections:
            one.close()
    assert all(end in (b"", b"408") for end in ends), ends
    assert ends.count(b"408") == 20


def _last(connection: socket.socket) -> bytes:
    """The status that came before the connection was closed; nothing where none did. Waits at most for the socket's timeout."""
    said = b""
    try:
        while piece := connection.recv(4096):
            said += piece
    except ConnectionResetError:
        pass
    return said.split(b" ")[1] if said else b""


def test_connections_beyond_the_limit_are_closed_at_once(server: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_server, "CONNECTIONS", 10)
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(40)]
    try:
        closed = sum(_last(one) == b"" for one in connections[20:])
    finally:
        for one in connections:
            one.close()
    assert closed == 20
    until(lambda: server.ask("GET", "/healthz")[0] == 200)
