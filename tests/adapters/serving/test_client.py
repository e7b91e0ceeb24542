"""The client against a real model server, and against what is none."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from tests.tf.modelserver import served
from tests.tf.modelserver.served import Running
from tfcanary.adapters.serving.server_client import Client, VersionStatus
from tfcanary.core.domain import Request
from tfcanary.core.errors import Unavailable
from tfcanary.tf.runtime import TensorSpec


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`half` with the versions 1 and 2, and `log`; version 3 of `half` ends in an error."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "half").mkdir()
    for version in ("1", "2"):
        (folder / "half" / version).symlink_to(served.models() / "half" / version)
    (folder / "half" / "3").mkdir()
    policy = f'name: "half" base_path: "{folder}/half" model_platform: "tensorflow" model_version_policy {{ all {{}} }}'
    running = served.nursery().start(folder / "server", models={"half": policy, "log": served.models() / "log"})
    yield running.await_ports()
    running.stop()


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with Client(server.rest, server.grpc, "half", timeout=20) as client:
        yield client


def test_a_request_is_answered(client: Client) -> None:
    prediction = client.predict(Request({"instances": [2.0]}))
    assert (prediction.status, prediction.body) == (200, {"predictions": [4.0]})
    assert prediction.seconds > 0


def test_an_error_is_an_answer_too(client: Client) -> None:
    prediction = client.predict(Request({"instances": ["x"]}))
    assert prediction.status == 400
    assert "is not of expected type: float" in prediction.body["error"]


def test_numbers_that_are_none_come_and_go(server: Running) -> None:
    with Client(server.rest, server.grpc, "log") as client:
        found = client.predict(Request({"instances": [0.0, -1.0, math.inf]})).body["predictions"]
    assert found[0] == -math.inf
    assert math.isnan(found[1])
    assert found[2] == math.inf


def test_status_tells_each_version_apart(client: Client) -> None:
    assert client.status(2) == VersionStatus("AVAILABLE", "OK", "")
    failed = client.status(3)
    assert (failed.state, failed.code) == ("END", "NOT_FOUND")
    assert failed.message.startswith("Could not find SavedModel .pb or .pbtxt")
    assert client.status(4) is None


def test_an_unknown_model_has_no_status_and_no_metadata(server: Running) -> None:
    with Client(server.rest, server.grpc, "nix") as client:
        assert client.status(1) is None
        assert client.metadata() is None


def test_metadata_is_the_signatures(client: Client) -> None:
    signature = client.metadata()["serving_default"]
    assert signature.inputs == {"x": TensorSpec("serving_default_x:0", "float32", (None,))}
    assert list(signature.outputs) == ["y"]


def test_questions_do_not_count_as_requests(client: Client, server: Running) -> None:
    before = [line for line in server.page().splitlines() if "request_count{" in line]
    client.status(2)
    client.metadata()
    assert [line for line in server.page().splitlines() if "request_count{" in line] == before


def test_a_name_is_quoted(server: Running) -> None:
    with Client(server.rest + "/", server.grpc, "../half") as client:
        assert client.predict(Request({"instances": [2.0]})).body == {"error": "Servable not found for request: Latest(../half)"}


def test_threads_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: client.predict(Request({"instances": [number]})).body["predictions"], range(100)))
        assert all(threads.map(lambda _: client.status(2).state == "AVAILABLE", range(20)))
    assert found == [[number / 2 + 3] for number in range(100)]


def test_a_server_that_is_gone_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", "m", timeout=2) as client:
        for ask in (lambda: client.predict(Request({"instances": [1]})), lambda: client.status(1), client.metadata):
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
                ask()


class Odd(BaseHTTPRequestHandler):
    """What is no model server: answers as its path's model says, and remembers the headers."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        Odd.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = self.rfile.read(int(self.headers["content-length"]))
        if "silent" in self.path:
            self.close_connection = True
            return
        content = {"proxy": b"<html>no healthy upstream</html>" * 100, "list": b"[1]", "echo": body}[Path(self.path).name.partition(":")[0]]
        self.send_response(503 if "proxy" in self.path else 200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def odd() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_proxys_page_keeps_its_status_and_some_of_its_words(odd: str) -> None:
    with Client(odd, "", "proxy") as client:
        prediction = client.predict(Request({"instances": [1]}))
    assert prediction.status == 503
    assert str(prediction.body["error"]).startswith("<html>no healthy upstream")
    assert len(str(prediction.body["error"])) == 500


def test_what_is_no_object_is_no_answer(odd: str) -> None:
    with Client(odd, "", "list") as client:
        assert client.predict(Request({"instances": [1]})).body == {"error": "[1]"}


def test_the_id_goes_with_the_request(odd: str) -> None:
    Odd.seen.clear()
    with Client(odd, "", "echo") as client:
        assert client.predict(Request({"instances": [1]}, id="abc")).body == {"instances": [1]}
        client.predict(Request({"instances": [1]}))
    assert Odd.seen[0]["x-request-id"] == "abc"
    assert "x-request-id" not in Odd.seen[1]


def test_a_request_that_was_sent_is_not_sent_again(odd: str) -> None:
    Odd.seen.clear()
    with Client(odd, "", "silent") as client, pytest.raises(Unavailable, match=odd):
        client.predict(Request({"instances": [1]}))
    assert len(Odd.seen) == 1
