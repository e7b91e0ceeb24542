"""A look into a folder of exports: complete new versions, each once, whatever was running before."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICK
from tests.fake_storage import FakeStorage
from tests.run.trigger.conftest import BOUNDED, EXPORTS, TOKEN, Client, Site, until
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters import storage
from tfcanary.core import codec
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Fate
from tfcanary.run.trigger import versions, watching
from tfcanary.run.trigger.dispatch import Dispatcher
from tfcanary.run.trigger.settings import Target
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness, list_versions
from tfcanary.run.trigger.watching import Folder


def plan(waiting: str = "newest") -> Plan:
    decoded: Plan = codec.decode(Plan, {**QUICK, "waiting": waiting})
    return decoded


def folder(marker: str = "_SUCCESS", waiting: str = "newest", **more: Any) -> Folder:
    """As a process that was just started has it."""
    return Folder(EXPORTS["digits"], plan(waiting), Completeness(marker, timedelta(seconds=60)), **more)


def waiting(site: Site) -> list[str]:
    return [one.model_uri.rpartition("/")[2] for one in site.record().waiting]


def test_at_the_first_start_what_lies_there_is_taken_as_known(site: Site) -> None:
    platform, watch = site.worlds["digits"].platform(), folder()
    assert watch.offer_new(platform) == 0, "nothing is there"
    for n in (9, 10):
        site.export(n)
    assert watch.offer_new(platform) == 0
    site.export(11)
    assert (watch.offer_new(platform), waiting(site)) == (1, ["11"])
    assert (watch.offer_new(platform), waiting(site)) == (0, ["11"])


def test_the_newest_that_lies_there_may_be_asked_for(site: Site) -> None:
    for n in (9, 10, "notes"):
        site.export(n)
    assert folder(existing=True).offer_new(site.worlds["digits"].platform()) == 1
    assert waiting(site) == ["10"], "numbers are newer than what has none"


@pytest.mark.parametrize(("policy", "left"), [("newest", ["4"]), ("all", ["2", "3", "4"])])
def test_of_several_new_ones_those_wait_that_the_plan_says(site: Site, policy: str, left: list[str]) -> None:
    platform = site.worlds["digits"].platform()
    site.export(1)
    folder(waiting=policy).offer_new(platform)
    for n in (2, 3, 4):
        site.export(n)
    folder(waiting=policy).offer_new(platform)
    assert waiting(site) == left


def test_after_a_restart_nothing_is_offered_twice(site: Site) -> None:
    platform = site.worlds["digits"].platform()
    site.export(1)
    assert [folder().offer_new(platform) for _ in range(3)] == [0, 0, 0]
    site.export(2)
    assert [folder().offer_new(platform) for _ in range(3)] == [1, 0, 0]
    before = platform.records.read()
    assert folder().offer_new(platform) == 0
    assert platform.records.read() == before, "a look that finds nothing writes nothing"


def test_a_version_without_its_marker_is_not_seen(site: Site) -> None:
    platform, watch = site.worlds["digits"].platform(), folder()
    site.export(1)
    watch.offer_new(platform)
    site.bucket(EXPORTS["digits"]).write("2/saved_model.pb", b"graph")
    assert watch.offer_new(platform) == 0
    site.bucket(EXPORTS["digits"]).write("2/_SUCCESS", b"")
    assert watch.offer_new(platform) == 1


def test_without_a_marker_a_version_must_rest() -> None:
    now = [0.0]
    bucket, complete = FakeStorage(), Completeness("", timedelta(seconds=60), now=lambda: now[0])

    def at(second: float) -> bool:
        now[0] = second
        return all(complete.is_complete(version, f"x/{version.name}") for version in list_versions(bucket))

    bucket.write("7/variables/variables.index", b"index")
    assert not at(0)
    assert not at(500), "without a saved_model.pb it never is"
    bucket.write("7/saved_model.pb", b"graph")
    assert not at(510)
    assert not at(569)
    bucket.write("7/assets/words.txt", b"words")
    assert not at(580), "it is still being copied"
    assert not at(639)
    assert at(641)
    bucket.write("7/saved_model.pb", b"another")
    assert not at(642), "it was written anew"


def test_of_versions_that_are_gone_nothing_is_remembered(site: Site) -> None:
    complete, bucket = Completeness("", timedelta(seconds=60)), site.bucket("gs://exports/digits")
    for n in range(50):
        bucket.write(f"{n}/saved_model.pb", b"graph")
        complete.is_complete_uri(f"gs://exports/digits/{n}")
        complete.complete_versions("gs://exports/digits")
        bucket.delete(f"{n}/saved_model.pb")
    assert len(complete.history) <= 1


def model(root: Path, number: int) -> Path:
    """Files as a SavedModel has them."""
    made = root / str(number)
    (made / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (made / name).write_bytes(f"{number} {name}".encode())
    (made / "_SUCCESS").touch()
    return made


def test_a_directory_is_looked_into_and_no_version_gets_a_file_of_ours(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(versions, "open_storage", storage.open_storage)
    model(tmp_path, 1)
    platform = site.worlds["digits"].platform()
    watch = Folder(str(tmp_path), plan(), Completeness("_SUCCESS", timedelta(seconds=60)))
    watch.offer_new(platform)
    made = model(tmp_path, 2)
    before = sorted(made.rglob("*"))
    assert watch.offer_new(platform) == 1
    dispatcher = Dispatcher(platform, plan(), Target("fake://"), Counts(), watch.completeness.is_complete_uri)
    assert dispatcher.look()
    assert site.pipelines.submitted == [("digits", str(made))]
    assert sorted(made.rglob("*")) == before


def test_a_version_that_is_a_link_is_dropped(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(versions, "open_storage", storage.open_storage)
    model(tmp_path / "elsewhere", 1)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "1").symlink_to(tmp_path / "elsewhere" / "1")
    with pytest.raises(Refused, match="is a link"):
        Completeness("_SUCCESS", timedelta(seconds=60)).is_complete_uri(str(tmp_path / "exports" / "1"))


@contextmanager
def process(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`tfcanary` as people start it; ends in order at SIGTERM."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tfcanary", *map(str, arguments)], cwd=folder, env={**os.environ}, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=BOUNDED)
        assert started.returncode == 0, said
        assert "Traceback" not in said
        assert TOKEN not in said
    finally:
        started.kill()
        started.communicate()


@pytest.mark.slow
def test_the_server_as_a_process_on_a_real_platform_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    uri = f"local://{tmp_path}/state"
    said = {"exports": str(tmp_path / "exports"), "plan": QUICK, "complete": "_SUCCESS"}
    settings = {"platform": uri, "auth": {"token_file": "token"}, "models": {"digits": said}, "every": "1s"}
    (tmp_path / "trigger.yaml").write_text(json.dumps(settings))
    made = model(tmp_path / "exports", 7)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with process(tmp_path, "trigger", "serve", "--settings", "trigger.yaml", "--port", port):
        client = Client(port)
        until(lambda: _listens(port))
        assert client.offer(str(made))[0] == 202
        records = adapters.open_platform(uri, "digits", Plan())
        (dropped,) = until(lambda: ledger.read(records).dropped)
    assert dropped.fate is Fate.REFUSED
    assert "set `bootstrap: true` in the plan" in dropped.reason


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_the_watch_as_a_process_offers_what_appears_and_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(json.dumps(QUICK))
    uri = f"local://{tmp_path}/state"
    model(tmp_path / "exports", 1)
    options = ["--name", "digits", "--plan", "plan.yaml", "--platform", uri, "--every", "1s", "--complete", "_SUCCESS"]
    with process(tmp_path, "trigger", "watch", tmp_path / "exports", *options):
        records = adapters.open_platform(uri, "digits", Plan())
        until(lambda: ledger.read(records).heard)
        model(tmp_path / "exports", 2)
        (dropped,) = until(lambda: ledger.read(records).dropped)
    assert dropped.candidate.model_uri == str(tmp_path / "exports" / "2")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--every", "0s"], "must be from 1s to 1d"),
        (["--every", "soon"], "is not a time such as 30s"),
        (["--complete", "a/b"], "must be the plain name of an object"),
        (["--platform", "elsewhere://x"], "is no platform"),
        (["--plan", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--host", "http://kfp.example"], "image (--image): is missing"),
    ],
)
def test_a_wrong_option_of_the_watch_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    from tests.cli.test_cli import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(json.dumps(QUICK))
    given = ["trigger", "watch", "gs://exports/digits", "--name", "digits", "--plan", "plan.yaml", *arguments]
    assert run(*given) == 2
    assert sentence in capsys.readouterr().err


def test_a_plan_that_the_host_would_not_take_is_refused_before_anything_is_offered(site: Site) -> None:
    large: Plan = codec.decode(Plan, {**QUICK, "drift": {"retrain": "x" * 9_900}})
    watched = Folder(EXPORTS["digits"], large, Completeness("_SUCCESS", timedelta(seconds=60)))
    with pytest.raises(Refused, match=r"plan: has .* bytes"):
        watching.watch(watched, "digits", Target("fake://", host="http://kfp.example", image="example/tfcanary:1"), every=1.0)


def test_a_folder_that_is_not_there_yet_is_said_at_the_start(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Ended(threading.Thread):
        def __init__(self, *arguments: object, **more: object) -> None:
            super().__init__()

    monkeypatch.setattr(watching, "DispatcherThread", Ended)
    monkeypatch.setattr(watching, "finish", lambda threads: None)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    for uri, said in (("/srv/none", True), ("/tmp", False)):
        caplog.clear()
        with pytest.raises(Unavailable, match="has ended by itself"):
            watching.watch(Folder(uri, Plan(), Completeness("_SUCCESS", timedelta(seconds=60))), "digits", Target("fake://"), every=1.0)
        assert (f"{uri}: is no folder on this machine yet; versions are released once it is there" in caplog.messages) is said
