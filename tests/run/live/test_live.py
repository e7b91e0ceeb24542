"""The live pages: from a state folder over real HTTP, to a client of the tests and to a real browser."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.report import samples
from tests.run.live.browser import CHROMIUM, open_tab
from tfcanary import adapters
from tfcanary.cli import tfcanary
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Holder, Pause, Record, Release, State
from tfcanary.run.live import board, live_server
from tfcanary.run.submit.current_wait import wait

HOSTILE = "<img src=x onerror=document.title='broken-into'>"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def put(folder: Path, model: str, record: Record) -> None:
    records = adapters.open_platform(f"local://{folder}", model, Plan()).records
    stored = records.read()
    records.swap(replace(record, model=model), stored.generation if stored else 0)


def with_weight(weight: int) -> Record:
    """The record of a release that is watched at a weight."""
    record = samples.watched()
    assert record.release
    release = record.release
    return replace(record, release=replace(release, desired=replace(release.desired, traffic=Traffic(canary=weight))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "digits", with_weight(5))
    put(tmp_path, "faces", samples.promoted()[0])
    (tmp_path / "records" / f"{HOSTILE}.json").write_text("{}")
    return tmp_path


@contextmanager
def served(folder: Path) -> Iterator[int]:
    server = live_server.set_up(f"local://{folder}", "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()


def next_event(answer: http.client.HTTPResponse) -> str:
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    return line.decode().removeprefix("data: ").strip()


def test_the_first_page_has_every_model_and_active_releases_first(folder: Path) -> None:
    with served(folder) as port:
        status, headers, page = get(port, "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert page.index("models/digits") < page.index("models/faces")
    assert "1 active release" in page
    assert "the record of 1 cannot be read" in page
    assert HOSTILE not in page


def test_a_model_has_the_page_of_its_report_with_what_it_waits_for_and_the_orders(folder: Path) -> None:
    with served(folder) as port:
        status, _, page = get(port, "/models/digits")
    assert status == 200
    for part in ("waits for", "since", "tfcanary abort digits --platform", "Over time", "Gates"):
        assert part in page, part


def test_nothing_can_be_changed_and_an_unknown_model_is_named(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "records").iterdir()}
    with served(folder) as port:
        assert get(port, "/models/nobody")[0] == get(port, "/events/nobody")[0] == 404
        assert "'nobody': nothing was ever released" in get(port, "/models/nobody")[2]
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert get(port, "/models/digits", method)[0] == 405
    assert {path: path.read_bytes() for path in (folder / "records").iterdir()} == before


def test_a_stream_says_when_the_page_has_changed_and_ends_with_the_server(folder: Path) -> None:
    with served(folder) as port, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/events/digits")
        answer = connection.getresponse()
        first = next_event(answer)
        put(folder, "digits", with_weight(25))
        while (second := next_event(answer)).partition("-")[0] == first.partition("-")[0]:
            pass
        assert "25 %" in get(port, "/models/digits")[2]
    assert int(second.partition("-")[0]) == int(first.partition("-")[0]) + 1


def test_two_hundred_viewers_read_the_platform_as_often_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def records(uri: str, patience: float) -> Any:
        reads.append(uri)
        return found

    found = adapters.records(f"local://{folder}")
    monkeypatch.setattr(adapters, "records", records)
    now = [0.0]
    shown = board.Board(f"local://{folder}", lambda: now[0])
    pages = [shown.page("digits") for _ in range(200)]
    assert len(reads) == 1
    assert all(page is pages[0] for page in pages)
    now[0] = 2 * board.REFRESH
    shown.revision()
    assert len(reads) == 2


def test_a_platform_that_is_away_leaves_what_was_shown_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    shown = board.Board(f"local://{folder}", lambda: now[0])
    before = shown.page()

    def away(uri: str, patience: float) -> Any:
        raise Unavailable("the API server does not answer")

    monkeypatch.setattr(adapters, "records", away)
    now[0] = 2 * board.REFRESH
    after = shown.page()
    assert before
    assert after
    assert before[0] != after[0]
    assert (after[1].answer.word, after[1].sections) == ("What is shown may be old", before[1].sections)
    assert "the API server does not answer" in after[1].why


def watched(**changes: Any) -> Release:
    release = samples.watched().release
    assert release
    return replace(release, **{"stage_began": NOW, "first_traffic": NOW, "stage": 0, "watched": (), **changes})


def test_at_any_moment_a_release_says_what_it_waits_for_since_when_and_until_when() -> None:
    plan = watched().plan.stage
    later = NOW + timedelta(seconds=10)
    stage = wait(watched(), None, later)
    assert stage
    assert (stage.what, stage.since, stage.until) == ("the least time of stage 0", NOW, NOW + plan.maximum)
    person = wait(watched(pause=Pause(NOW, approval=True)), None, later)
    assert person
    assert (person.what, person.until) == ("a person to approve stage 0", NOW + plan.patience)
    window = wait(watched(pause=Pause(NOW, until=later)), None, later)
    assert window
    assert (window.what, window.until) == ("its window, in which weights may rise", later)
    holder = Holder("run-1: after deploy", "", 1, timedelta(minutes=10), NOW + timedelta(minutes=10), False, True)
    between = wait(watched(state=State.OPEN, stage_began=None, stage=-1, holder=holder), None, later)
    assert between
    assert (between.what, between.until) == ("the next step of the pipeline, after deploy", holder.until)
    assert wait(watched(state=State.ROLLED_BACK), None, later) is None


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_browser_shows_what_status_says_follows_the_release_and_runs_nothing_of_a_models_name(
    folder: Path, tmp_path_factory: Any
) -> None:
    with served(folder) as port, open_tab(tmp_path_factory.mktemp("browser")) as tab:
        tab.open(f"http://127.0.0.1:{port}/")
        assert tab.until("document.querySelectorAll('tbody tr').length") == 3
        assert "broken-into" not in tab.ask("document.title")
        assert tab.ask("document.querySelector('img')") is None
        tab.open(f"http://127.0.0.1:{port}/models/digits")
        tab.until("document.getElementById('connection').textContent.startsWith('Live')")
        tab.ask("document.querySelector('details').open = true")
        for weight in (25, 50):
            put(folder, "digits", with_weight(weight))
            tab.until(f"document.querySelector('.why').textContent.includes('{weight} %')")
            said = json.loads(CliRunner().invoke(tfcanary, ["status", "digits", "--platform", f"local://{folder}", "--json"]).output)
            assert said["release"]["desired"]["traffic"]["canary"] == weight
            assert tab.ask("document.querySelector('h1').textContent").lower().startswith(said["release"]["state"])
        assert tab.ask("document.querySelector('details').open") is True
        put(folder, "digits", samples.rolled_back()[0])
        tab.until("document.querySelector('h1').textContent.includes('Rolled back')")
        assert "Rolled back" in tab.ask("document.title")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_on_a_narrow_screen_nothing_lies_beyond_the_edge(folder: Path, tmp_path_factory: Any) -> None:
    with served(folder) as port, open_tab(tmp_path_factory.mktemp("browser"), "--window-size=600,900") as tab:
        for path in ("", "models/digits"):
            tab.open(f"http://127.0.0.1:{port}/{path}")
            assert tab.ask("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
