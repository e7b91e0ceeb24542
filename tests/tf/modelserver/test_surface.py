"""The REST surface apart from predict: URLs, status, metadata, and what hostile clients send."""

from __future__ import annotations

import gzip
import socket
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.tf.modelserver.served import METRICS, Running

STATUS = """{
 "model_version_status": [
  {
   "version": "1",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
"""


def test_status_is_printed_as_the_original_prints_it(server: Running) -> None:
    reply = server.get("/v1/models/pair")
    assert (reply.status, reply.text) == (200, STATUS)
    assert server.get("/v1/models/half/versions/1").text == STATUS


def test_status_lists_versions_by_number_and_looks_at_no_label(server: Running) -> None:
    for path in ("/v1/models/half", "/v1/models/half/labels/nix"):
        assert [one["version"] for one in server.get(path).json["model_version_status"]] == ["1", "2"]


def test_metadata_tells_the_signature_of_the_version_that_serves(server: Running) -> None:
    found = server.get("/v1/models/pair/metadata").json
    assert found["model_spec"] == {"name": "pair", "signature_name": "", "version": "1"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False}
    assert signature["inputs"]["a"] == {"name": "serving_default_a:0", "dtype": "DT_FLOAT", "tensor_shape": shape}
    assert sorted(signature["outputs"]) == ["sum", "twice"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}


def test_metadata_is_the_probe_that_knows_whether_a_version_serves(server: Running) -> None:
    assert server.get("/v1/models/half/versions/1/metadata").status == 200
    assert server.get("/v1/models/half/labels/canary/metadata").json["model_spec"]["version"] == "2"
    reply = server.get("/v1/models/half/versions/7/metadata")
    assert (reply.status, reply.error) == (404, "Servable not found for request: Specific(half, 7)")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/nix", 404, "Could not find any versions of model nix"),
        ("GET", "/v1/models/half/versions/9", 404, "Could not find version 9 of model half"),
        ("GET", "/v1/models/half:predict", 400, "Malformed request: GET /v1/models/half:predict"),
        ("GET", "/v1/half", 400, "Malformed request: GET /v1/half"),
        ("POST", "/v1/models/half", 400, "Malformed request: POST /v1/models/half"),
        ("POST", "/v1/models/half:predict?x=1", 400, "Malformed request: POST /v1/models/half:predict?x=1"),
        ("POST", "/v1/models/half:nix", 400, "Malformed request: POST /v1/models/half:nix"),
        ("DELETE", "/v1/models/half", 400, "Malformed request: DELETE /v1/models/half"),
        ("OPTIONS", "/v1/models/half", 400, "Malformed request: OPTIONS /v1/models/half"),
    ],
)
def test_a_url_that_names_nothing_is_refused(server: Running, method: str, path: str, status: int, message: str) -> None:
    reply = server.call(method, path)
    assert (reply.status, reply.error) == (status, message)


def test_urls_are_matched_whatever_their_case_and_names_are_decoded(server: Running) -> None:
    assert server.get("/V1/Models/half").status == 200
    assert server.get("/v1/models/h%61lf").status == 200
    assert server.call("POST", "/v1/models/half:PREDICT", {"instances": [2.0]}).json == {"predictions": [4.0]}


def test_a_browser_may_ask_before_it_posts(server: Running) -> None:
    assert server.call("OPTIONS", "/v1/models/half:predict", origin="https://example.org").status == 200


def test_other_paths_are_not_found(server: Running) -> None:
    for path in ("/", "/v2/models/half", "/favicon.ico"):
        assert server.get(path).status == 404
    reply = server.get(f"{METRICS}?x=1")
    assert (reply.status, reply.text) == (400, f"Unexpected path: {METRICS}?x=1. Should be {METRICS}")


HOSTILE = [
    b"\x00" * 100,
    b"\xff\xfe{}",
    b"{" * 100_000,
    b'{"instances": ' + b"[" * 100_000,
    b'{"instances": ' + b"[" * 500 + b"]" * 500 + b"}",
    b'{"instances": ' + b"[" * 500 + b"]" * 500 + b', "inputs": 1}',
    b'{"instances": [' + b"9" * 10_000 + b"]}",
    b'{"instances": [1e999999]' + b"," * 10,
    b'{"instances": [1], "signature_name": "\\ud800"}',
    b'{"instances": [1], "signature_name": {"a": 1}}',
    b'{"instances": [{"\\ud800": 1}]}',
    b'{"instances": [null]}',
    b'{"instances": [[[[[[[1]]]]]], 2]}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=[repr(body[:40]) for body in HOSTILE])
def test_a_hostile_body_is_refused_and_the_server_goes_on(server: Running, body: bytes) -> None:
    for model in ("half", "pair", "words"):
        reply = server.predict(model, body)
        assert reply.status == 400
        assert reply.error
    assert server.predict("half", {"instances": [2.0]}).json == {"predictions": [4.0]}


def test_a_body_of_wrong_rank_fails_in_the_graph_alone(server: Running) -> None:
    assert server.predict("layers", {"instances": [[1, 2, 3]]}).status == 400
    assert server.predict("layers", {"instances": [[0.0] * 64]}).json == {"predictions": [[0.0] * 10]}


def test_compressed_bodies_are_bounded_too(server: Running) -> None:
    bomb = gzip.compress(b" " * (101 << 20))
    reply = server.predict("half", bomb, **{"content-encoding": "gzip"})
    assert (reply.status, reply.error) == (400, "the inflated body has more than 104857600 bytes")
    assert server.predict("half", b"no gzip", **{"content-encoding": "gzip"}).status == 400


def raw(server: Running, request: bytes) -> bytes:
    """Send exactly these bytes, and return the beginning of the response."""
    parts = urlsplit(server.rest)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(4096)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/models/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP at all\r\n\r\n",
        b"GET v1/models/half HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/models/" + b"%00" * 10 + b"\\..\\..%2f..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_malformed_http_gets_an_error_of_the_client(server: Running, request_line: bytes) -> None:
    assert raw(server, request_line).startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert server.get("/v1/models/half").status == 200


def test_a_client_that_hangs_up_in_the_middle_of_its_request_is_not_counted(server: Running) -> None:
    def counted() -> list[str]:
        return [line for line in server.page().splitlines() if "request_count{" in line]

    before = counted()
    parts = urlsplit(server.rest)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    assert server.predict("half", {"instances": [2.0]}).status == 200
    changed = [line for line in counted() if line not in before]
    assert [line.partition(" ")[0] for line in changed] == [':tensorflow:serving:request_count{model_name="half",status="OK"}']


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Running) -> None:
    head = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert raw(server, head).startswith(b"HTTP/1.1 413")


def test_a_body_that_grows_too_large_is_refused(server: Running) -> None:
    def chunks():
        for _ in range(110):
            yield b" " * (1 << 20)

    try:
        reply = server.http.request("POST", f"{server.rest}/v1/models/half:predict", body=chunks(), chunked=True)
    except (OSError, urllib3.exceptions.HTTPError):
        return  # it hung up while we were still sending
    assert reply.status == 413
