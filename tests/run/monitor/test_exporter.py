"""The page over HTTP: cheap, true or absent, and of no consequence for whoever serves it."""

from __future__ import annotations

import http.client
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from tests.act.conftest import RUN, deployed, model, pushed
from tests.adapters.metrics.prometheus_server import free_port
from tests.fakes import World
from tests.run.monitor.running import opens, running, watched
from tfcanary import __version__, adapters
from tfcanary.act import ledger, rollback
from tfcanary.cli.guard import PlatformGuard, guard
from tfcanary.cli.metrics import metrics
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Stored
from tfcanary.core.record import Record
from tfcanary.run import monitor
from tfcanary.run.monitor import exporter as exporting
from tfcanary.run.monitor.exporter import CACHED, PORT, Exporter
from tfcanary.run.monitor.recent import LATELY

__all__ = ["deployed", "model", "pushed"]


def asked(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def samples(text: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_a_release_on_the_road_is_served(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    running(world)
    opens(monkeypatch, world)
    served = monitor.serve(0, monitor.models_exporter("kube://serving"), monitor.HERE)
    assert served
    try:
        found = samples(asked(served.port))
    finally:
        served.close()
    assert found["tfcanary_criterion_estimate_ratio"]
    assert {(one["namespace"], one["model"]) for one in found["tfcanary_watching"]} == {("serving", "digits")}
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", served.port))


def test_the_platform_of_this_machine_has_no_namespace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    assert samples(monitor.page(monitor.models_exporter("local:///srv/state")))["tfcanary_stable_version"][0]["namespace"] == ""


def test_the_record_is_read_once_however_often_the_page_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    reads, now = [0], [100.0]

    def models() -> tuple[str, ...]:
        reads[0] += 1
        return ("digits",)

    exporter = Exporter("kube://serving", models, clock=lambda: now[0])
    pages = [monitor.page(exporter) for _ in range(5)]
    assert (reads[0], len({*pages})) == (1, 1)
    now[0] += CACHED
    monitor.page(exporter)
    assert reads[0] == 2


def test_who_asks_while_a_question_hangs_gets_the_page_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    hangs, goes_on, now = threading.Event(), threading.Event(), [0.0]
    goes_on.set()

    def models() -> tuple[str, ...]:
        hangs.set()
        assert goes_on.wait(20)
        return ("digits",)

    exporter = Exporter("kube://serving", models, clock=lambda: now[0])
    before = monitor.page(exporter)
    hangs.clear()
    goes_on.clear()
    now[0] += CACHED
    thread = threading.Thread(target=monitor.page, args=(exporter,))
    thread.start()
    assert hangs.wait(20)
    assert monitor.page(exporter) == before
    goes_on.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_record_that_cannot_be_read_is_absent_and_its_age_grows(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opens(monkeypatch, world)
    now = [0.0]
    exporter = Exporter("kube://serving", lambda: ("digits",), clock=lambda: now[0])
    assert "tfcanary_watching" in monitor.page(exporter)

    def away() -> None:
        raise Unavailable("the API server does not answer")

    monkeypatch.setattr(world.records, "read", away)
    for _ in range(3):
        now[0] += CACHED
        found = samples(monitor.page(exporter))
    assert set(found) == {"tfcanary_build_info", "tfcanary_record_read_timestamp_seconds"}
    assert [one.message for one in caplog.records if "does not answer" in one.message] == [
        "digits: the API server does not answer; its metrics are incomplete"
    ]


def test_a_bucket_that_cannot_be_read_hides_the_polls_and_not_the_release(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(world)
    opens(monkeypatch, world)

    def away(prefix: str = "") -> None:
        raise Unavailable("the bucket does not answer")

    monkeypatch.setattr(world.storage, "list", away)
    found = samples(monitor.page(monitor.models_exporter("kube://serving")))
    assert "tfcanary_weight_asked_ratio" in found
    assert "tfcanary_requests_total" not in found


def test_models_that_cannot_be_listed_are_those_that_were(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    now = [0.0]
    exporter = monitor.models_exporter("kube://serving")
    exporter.clock = lambda: now[0]
    first = samples(monitor.page(exporter))

    def away(uri: str) -> None:
        raise Unavailable("nobody answers")

    monkeypatch.setattr(adapters, "models", away)
    now[0] += CACHED
    assert samples(monitor.page(exporter)).keys() == first.keys()


def test_a_port_that_is_taken_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert monitor.serve(port, Exporter("kube://serving", tuple), monitor.HERE) is None
    assert f"metrics are not served: port {port} cannot be bound" in caplog.text


def test_a_guard_exports_while_it_watches_and_ends_as_without(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is looked at from outside in the middle of the guard's own work."""
    watched(world)
    opens(monkeypatch, world)
    port, pages, serving = free_port(), [], []
    serve = monitor.serve
    monkeypatch.setattr(monitor, "serve", lambda *given: serving.append(serve(*given)) or serving[-1])

    def look(_: float) -> None:
        if not pages:
            pages.append(asked(port))
        else:
            world.clock.on_sleep.remove(look)
            rollback.roll_back(world.platform(), RUN, "by a person")

    world.clock.on_sleep.append(look)
    done = CliRunner().invoke(
        guard, ["--platform", "kube://serving", "--model", "digits", "--run-id", RUN, "--metrics-port", str(port)], catch_exceptions=False
    )
    (served,) = serving
    served.close()
    assert done.exit_code == 0
    assert samples(pages[0])["tfcanary_weight_asked_ratio"]


def test_a_guard_without_a_port_works_on_where_it_is_taken(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    rollback.roll_back(world.platform(), RUN, "by a person")
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::", 0))
        taken.listen()
        arguments = ["--platform", "kube://serving", "--model", "digits", "--run-id", RUN, "--metrics-port", str(taken.getsockname()[1])]
        assert CliRunner().invoke(guard, arguments, catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize(
    ("uri", "environment", "port"),
    [
        ("kube://serving", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 9464),
        ("kube://serving", {"KUBERNETES_SERVICE_HOST": "10.0.0.1", PORT: "0"}, None),
        ("kube://serving", {}, None),
        ("kube://serving", {PORT: "9000"}, 9000),
        ("local:///srv/state", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        ("local:///srv/state", {PORT: "9000"}, 9000),
        ("local:///srv/state", {PORT: "99999; ls"}, None),
    ],
)
def test_a_watching_step_exports_in_a_pod_and_elsewhere_when_told(
    uri: str, environment: dict[str, str], port: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", PORT):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ports: list[int] = []
    monkeypatch.setattr(exporting, "serve", lambda port, collect: ports.append(port))
    monitor.serve_beside_watch(uri, "digits")
    assert ports == ([port] if port else [])


def test_a_record_that_the_process_has_just_read_is_not_read_again(
    world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens(monkeypatch, world)
    recent, reads, read = monitor.RecentRecords(), [0], world.records.read

    def counted() -> Stored | None:
        reads[0] += 1
        return read()

    ledger.read(recent.noting(world.platform()))
    monkeypatch.setattr(world.records, "read", counted)
    page = monitor.page(monitor.models_exporter("kube://serving", "digits", recent=recent))
    assert reads == [0]
    assert "tfcanary_stable_version" in samples(page)
    world.clock.sleep(LATELY.total_seconds() + 1)
    monitor.page(monitor.models_exporter("kube://serving", "digits", recent=recent))
    assert reads == [1]


def test_the_guard_of_a_namespace_exports_every_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opens(monkeypatch, world)
    monkeypatch.setattr(adapters, "models", lambda uri: ("digits", "letters"))
    port, pages, serving = free_port(), [], []
    serve = monitor.serve
    monkeypatch.setattr(monitor, "serve", lambda *given: serving.append(serve(*given)) or serving[-1])
    monkeypatch.setattr(PlatformGuard, "run", lambda self: pages.append(asked(port)))
    assert (
        CliRunner().invoke(guard, ["--platform", "kube://serving", "--all", "--metrics-port", str(port)], catch_exceptions=False).exit_code
        == 0
    )
    serving[0].close()
    assert [one["model"] for one in samples(pages[0])["tfcanary_record_read_timestamp_seconds"]] == ["digits", "letters"]


@pytest.fixture
def local(tmp_path: Path) -> str:
    """A state folder in which version 7 of a model is stable."""
    uri = f"local://{tmp_path}/state"
    stable = ModelVersion(7, "/models/letters/7", f"sha256:{7:064x}")
    adapters.open_platform(uri, "letters", Plan()).records.swap(Record("letters", __version__, stable=stable), 0)
    return uri


def test_a_page_is_printed_where_no_port_is_given(local: str) -> None:
    done = CliRunner().invoke(metrics, ["--platform", local], catch_exceptions=False)
    assert done.exit_code == 0
    assert 'tfcanary_stable_version{model="letters",namespace=""} 7.0' in done.output


def test_a_page_is_served_until_somebody_stops_it(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port, pages = free_port(), []

    class Waits:
        def wait(self) -> None:
            pages.append(asked(port))
            raise KeyboardInterrupt

    monkeypatch.setattr("tfcanary.cli.metrics.Event", Waits)
    CliRunner().invoke(metrics, ["--platform", local, "--port", str(port)])
    assert samples(pages[0])["tfcanary_stable_version"] == [{"namespace": "", "model": "letters"}]
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_metrics_says_who_it_is_that_has_the_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="cannot be bound at 127"):
            metrics.main(["--platform", f"local://{tmp_path}", "--port", str(taken.getsockname()[1])], standalone_mode=False)


def test_the_plan_of_the_release_says_where_its_bucket_is(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    def opened(uri: str, model: str, plan: Plan) -> object:
        plans.append(plan)
        return world.platform(model)

    monkeypatch.setattr(adapters, "open_platform", opened)
    now = [0.0]
    exporter = Exporter("kube://serving", lambda: ("digits",), clock=lambda: now[0])
    for _ in range(3):
        monitor.page(exporter)
        now[0] += CACHED
    assert [one.weights for one in plans] == [Plan().weights, (10, 50)], "each is opened once"
