"""Counters from pages: real servers' pages, and pages that are none."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.tf.modelserver import served
from tests.tf.modelserver.served import Running
from tfcanary.adapters.metrics.exposition import BOUNDS, counters
from tfcanary.adapters.metrics.scrape import LARGEST_PAGE, ScrapeSource
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.errors import Unavailable

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def page(**requests: int) -> str:
    """A page of model m with so many answered requests, all below 32.4 µs; and 2 wrong ones of each kind."""
    lines = ["# TYPE :tensorflow:serving:request_count counter"]
    lines += [
        f':tensorflow:serving:request_count{{model_name="m",status="{status}"}} 2' for status in ("NOT_FOUND", "OK", "INVALID_ARGUMENT")
    ]
    lines += ["# TYPE :tensorflow:serving:request_latency histogram"]
    for label, number in requests.items():
        api, entrypoint = label.split("_")
        labels = f'model_name="m",API="{api}",entrypoint="{entrypoint}"'
        for place, bound in enumerate(BOUNDS):
            lines.append(f':tensorflow:serving:request_latency_bucket{{{labels},le="{bound}"}} {number if place >= 2 else 0}')
        lines.append(f":tensorflow:serving:request_latency_sum{{{labels}}} 1e+03")
        lines.append(f":tensorflow:serving:request_latency_count{{{labels}}} {number}")
    return "\n".join(lines) + "\n"


def test_answers_of_the_three_verbs_count_and_probes_do_not() -> None:
    found = counters(page(predict_REST=5, PREDICT_REST=1, classify_REST=2, regress_REST=3, _REST=100), "m")
    assert found.ok == 11
    assert found.latency == (0, 0, *[11] * 32)


def test_errors_are_kept_by_status() -> None:
    assert counters(page(predict_REST=5), "m").errors == {"NOT_FOUND": 2, "INVALID_ARGUMENT": 2}


def test_the_latency_is_that_of_one_entry_point_and_answers_are_those_of_all() -> None:
    text = page(predict_REST=5, Predict_GRPC=7)
    assert [counters(text, "m", entrypoint).ok for entrypoint in ("REST", "GRPC", None)] == [12, 12, 12]
    assert [counters(text, "m", entrypoint).latency[-1] for entrypoint in ("REST", "GRPC", None)] == [5, 7, 12]
    assert counters(page(Predict_GRPC=7), "m", "REST").latency == ()


def test_a_model_that_is_asked_by_grpc_alone_or_by_both_has_a_latency_of_all_its_answers() -> None:
    for text, answered in ((page(Predict_GRPC=7), 7), (page(predict_REST=5, Predict_GRPC=7), 12)):
        found = counters(text, "m")
        assert (found.ok, found.latency[-1]) == (answered, answered)


def test_the_sum_of_the_latencies_is_that_of_the_entry_point_and_of_the_three_verbs() -> None:
    text = page(predict_REST=5, Predict_GRPC=7, classify_REST=2, _REST=100)
    assert [counters(text, "m", entrypoint).latency_sum for entrypoint in ("REST", "GRPC", None)] == [2000, 1000, 3000]
    assert counters(page(Predict_GRPC=7), "m", "REST").latency_sum is None


def test_another_models_series_are_not_ours() -> None:
    assert counters(page(predict_REST=5), "n") == Counters(0)
    assert counters(page(predict_REST=5) + page(predict_REST=7).replace('"m"', '"n"'), "m").ok == 5


def test_before_the_first_request_there_is_nothing_and_that_is_zero() -> None:
    assert counters("# TYPE :tensorflow:serving:request_count counter\n", "m") == Counters(0)


@pytest.mark.parametrize(
    "text",
    [
        "<html>hello</html>",
        '{"error": "x"}',
        page(predict_REST=5).replace('le="18"', 'le="19"'),
        page(predict_REST=5).replace("request_latency_count{", "request_latency_count").replace("5\n", "x\n"),
        page(predict_REST=5).replace("} 5", "} NaN"),
        page(predict_REST=5)[:1000],
    ],
)
def test_what_is_no_page_is_unavailable(text: str) -> None:
    with pytest.raises(Unavailable):
        counters(text, "m")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """Two servers of version 1 and one of version 2."""
    running = {}
    for name, version in (("one", 1), ("two", 1), ("three", 2)):
        policy = f'name: "m" base_path: "{served.models()}/half" model_platform: "tensorflow"'
        policy += f" model_version_policy {{ specific {{ versions: {version} }} }}"
        running[name] = served.nursery().start(tmp_path_factory.mktemp(name), models={"m": policy})
    yield {name: server.await_ports() for name, server in running.items()}
    for server in running.values():
        server.stop()


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_each_server_of_a_track_is_counted_by_itself(servers: dict[str, Running]) -> None:
    tracks = {Track.STABLE: ("one", "two"), Track.CANARY: ("three",)}
    source = ScrapeSource(lambda track: {name: servers[name].rest for name in tracks[track]}, "m")
    assert source.sample(Track.CANARY, NOW) == Sample(Track.CANARY, True, {"three": Counters(0)})
    for name, requests in (("one", 3), ("two", 1), ("three", 4)):
        for _ in range(requests):
            servers[name].predict("m", {"instances": [1]})
    servers["two"].predict("m", {"instances": ["x"]})
    servers["two"].predict("m/versions/9", {"instances": [1]})
    servers["two"].get("/v1/models/m")
    stable = source.sample(Track.STABLE, NOW)
    assert stable.up
    assert {name: one.ok for name, one in stable.servers.items()} == {"one": 3, "two": 1}
    assert stable.servers["two"].errors == {"INVALID_ARGUMENT": 1, "NOT_FOUND": 1}
    assert len(stable.servers["one"].latency) == 34
    assert stable.servers["one"].latency[-1] == 3
    canary = source.sample(Track.CANARY, NOW)
    assert (canary.servers["three"].ok, canary.servers["three"].errors) == (4, {})
    assert list(source.history(Track.STABLE, NOW)) == []


def test_a_server_that_is_silent_takes_its_track_down_and_no_other_server(
    servers: dict[str, Running], caplog: pytest.LogCaptureFixture
) -> None:
    gone = free_address()
    source = ScrapeSource(lambda track: {"one": servers["one"].rest, "gone": gone}, "m", timeout=2)
    with caplog.at_level(logging.WARNING):
        sample = source.sample(Track.STABLE, NOW)
    assert (sample.up, list(sample.servers)) == (False, ["one"])
    assert f"gone at {gone}: no answer" in caplog.text


def test_a_track_without_servers_is_not_up() -> None:
    assert ScrapeSource(lambda track: {}, "m").sample(Track.STABLE, NOW) == Sample(Track.STABLE, False)


def test_who_cannot_tell_the_servers_is_unavailable() -> None:
    def unknown(track: Track) -> dict[str, str]:
        raise Unavailable(f"the state of {track} cannot be read")

    with pytest.raises(Unavailable, match="the state of canary cannot be read"):
        ScrapeSource(unknown, "m").sample(Track.CANARY, NOW)


class Odd(BaseHTTPRequestHandler):
    """No model server."""

    def do_GET(self) -> None:
        self.send_response(404 if "missing" in self.path else 302 if "elsewhere" in self.path else 200)
        self.send_header("location", "/page")
        self.end_headers()
        piece = page(predict_REST=5).encode() if self.path.startswith(("/page", "/missing")) else b"x" * (1 << 20)
        for _ in range(LARGEST_PAGE // len(piece) + 2 if "endless" in self.path else 1):
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(("path", "up"), [("/page", True), ("/missing", False), ("/elsewhere", False), ("/endless", False)])
def test_only_a_page_of_bounded_size_at_its_own_address_counts(path: str, up: bool) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # it is hung up on
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        source = ScrapeSource(lambda track: {"odd": f"http://127.0.0.1:{server.server_port}{path}"}, "m")
        sample = source.sample(Track.STABLE, NOW)
        server.shutdown()
        thread.join()
    assert sample.up is up
