"""A pipeline on a KFP host: submitted, watched and stopped over HTTP, and never waited for without an end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.adapters.kubeclient.api_server import Told
from tests.run.submit.kfp_host import EXPERIMENTS, JSON, NEW, RUNS, Host
from tfcanary.core.errors import Unavailable
from tfcanary.run.submit import Submission, remote_run
from tfcanary.run.submit.remote_run import RemoteRun

ARGUMENTS = {"model_name": "digits", "model": "gs://exports/digits/7"}


def wanted(host: Host, **more: str) -> Submission:
    return Submission("canary_release", ARGUMENTS, Path("unused"), host=host.url, **more)


def asked(host: Host, method: str, path: str) -> int:
    return len([one for one in host.asked if (one.method, one.path) == (method, path)])


def test_a_run_begins_with_its_arguments_and_its_account_and_is_never_cached(host: Host) -> None:
    run = RemoteRun.start(wanted(host, service_account="tfcanary", image="example/tfcanary:1"))
    sent = host.runs[run.run_id]
    assert (sent["display_name"], sent["service_account"]) == ("canary_release digits", "tfcanary")
    assert sent["runtime_config"]["parameters"] == ARGUMENTS
    tasks = sent["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert {task.get("cachingOptions", {}).get("enableCache", False) for task in tasks.values()} == {False}
    assert "example/tfcanary:1" in yaml.safe_dump(sent["pipeline_spec"])
    assert run.describe() == f"{host.url}/#/runs/details/{run.run_id}"


def test_what_the_sdk_prints_is_not_mixed_into_our_own_output(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    RemoteRun.start(wanted(host))
    assert capsys.readouterr().out == ""


def test_without_an_account_the_host_takes_its_own_default(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    assert host.runs[run.run_id].get("service_account") is None
    assert "platforms:" in yaml.safe_dump(host.runs[run.run_id]["pipeline_spec"]), "the second document, with the Secrets, is kept"


def test_a_run_is_under_way_until_the_host_says_how_it_ended(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    assert run.finished() is None
    for state, good in (("SUCCEEDED", True), ("FAILED", False)):
        host.runs[run.run_id]["state"] = state
        assert run.finished() is good


def test_a_stopped_run_is_stopped_on_the_host(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    run.stop()
    assert host.runs[run.run_id]["state"] == "CANCELED"
    assert run.finished() is False


def test_with_one_user_there_is_no_namespace_and_the_host_is_asked_once(host: Host) -> None:
    RemoteRun.start(wanted(host))
    assert host.experiments[0]["namespace"] == ""
    assert asked(host, "GET", NEW) == 1


def test_with_many_users_the_namespace_is_the_pods_own(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp import Client

    (tmp_path / "namespace").write_text("team-a")
    monkeypatch.setattr(Client, "_NAMESPACE_PATH", str(tmp_path / "namespace"))
    host.pages[NEW] = Told(body={"multi_user": True}, headers=JSON)
    RemoteRun.start(wanted(host))
    assert host.experiments[0]["namespace"] == "team-a"


@pytest.mark.parametrize("ask", [lambda host: RemoteRun.start(wanted(host)), lambda host: remote_run.check_host(host.url)])
def test_a_host_that_accepts_and_says_nothing_is_given_up(
    host: Host, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Host], object]
) -> None:
    monkeypatch.setattr(remote_run, "ASK", 0.1)
    monkeypatch.setattr(remote_run, "AGAIN", 1)
    host.pages[NEW] = Told(how="silent")
    with pytest.raises(Unavailable, match=f"KFP at {host.url} cannot be reached: .*timed out"):
        ask(host)
    assert asked(host, "GET", NEW) == 2


def test_a_lost_answer_to_a_new_run_starts_no_second_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_run, "ASK", 0.3)
    RemoteRun.start(wanted(host))
    host.pages[RUNS] = Told(how="cut")
    with pytest.raises(Unavailable, match="cannot be reached"):
        RemoteRun.start(wanted(host))
    assert asked(host, "POST", RUNS) == 2


def test_a_refusal_is_told_with_its_status(host: Host) -> None:
    host.pages[EXPERIMENTS] = Told(403, {"error": "as the test wants it"}, JSON)
    with pytest.raises(Unavailable, match=f"KFP at {host.url} answers 403"):
        RemoteRun.start(wanted(host))
