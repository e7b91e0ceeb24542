"""A pipeline on a KFP host: submitted, watched and stopped over HTTP, and never waited for without an end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.adapters.kubeclient.api_server import Told
from tests.run.submit.kfp_host import EXPERIMENTS, JSON, NEW, RUNS, Host
from tfcanary.core.errors import Unavailable
from tfcanary.run.submit import Submission, kfp_api, remote_run
from tfcanary.run.submit.local_run import LocalRun
from tfcanary.run.submit.remote_run import RemoteRun

ROOT = Path(__file__).parents[3]

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
    assert sent["description"].startswith("Make a SavedModel the stable version")
    tasks = sent["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert {task.get("cachingOptions", {}).get("enableCache", False) for task in tasks.values()} == {False}
    assert "example/tfcanary:1" in yaml.safe_dump(sent["pipeline_spec"])
    assert run.describe() == f"{host.url}/#/runs/details/{run.run_id}"


def test_the_page_is_where_people_open_the_host(host: Host) -> None:
    run = RemoteRun.start(wanted(host, host_ui="https://kubeflow.example/_/pipeline/"))
    assert run.describe() == f"https://kubeflow.example/_/pipeline/#/runs/details/{run.run_id}"


def test_a_submission_prints_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    RemoteRun.start(wanted(host))
    assert capsys.readouterr().out == ""


def test_without_an_account_the_host_takes_its_own_default(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    assert host.runs[run.run_id].get("service_account") is None
    assert "platforms:" in yaml.safe_dump(host.runs[run.run_id]["pipeline_spec"]), "the second document, with the Secrets, is kept"


def test_a_run_is_under_way_until_the_host_says_how_it_ended(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    assert run.result() is None
    for state, good in (("SUCCEEDED", True), ("FAILED", False)):
        host.runs[run.run_id]["state"] = state
        assert run.result() is good


def test_a_stopped_run_is_stopped_on_the_host(host: Host) -> None:
    run = RemoteRun.start(wanted(host))
    run.stop()
    assert host.runs[run.run_id]["state"] == "CANCELED"
    assert run.result() is False


def test_with_one_user_there_is_no_namespace_and_the_host_is_asked_once(host: Host) -> None:
    RemoteRun.start(wanted(host))
    assert host.experiments[0]["namespace"] == ""
    assert asked(host, "GET", NEW) == 1


def test_with_many_users_the_namespace_is_the_pods_own(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "namespace").write_text("team-a")
    monkeypatch.setattr(kfp_api, "POD_NAMESPACE", tmp_path / "namespace")
    host.pages[NEW] = Told(body={"multi_user": True}, headers=JSON)
    RemoteRun.start(wanted(host))
    assert host.experiments[0]["namespace"] == "team-a"


def test_the_namespace_of_the_sdks_context_is_the_one_of_the_runs(host: Host, tmp_path: Path) -> None:
    (tmp_path / ".config" / "kfp").mkdir(parents=True)
    (tmp_path / ".config" / "kfp" / "context.json").write_text('{"namespace": "team-b"}')
    RemoteRun.start(wanted(host))
    assert host.experiments[0]["namespace"] == "team-b"


IN_A_STEP = """
import os, sys
from pathlib import Path
from tfcanary.run.submit import Submission, remote_run

assert os.environ["_KFP_RUNTIME"] == "true"
run = remote_run.RemoteRun.start(Submission("canary_release", {"model_name": "digits"}, Path("unused"), host=sys.argv[1]))
print(run.result(), remote_run.check_host(sys.argv[1])[0].value)
"""


def test_a_step_of_a_compiled_pipeline_submits_too(host: Host) -> None:
    """Its command sets this variable, and then `kfp` exports no client."""
    environment = {**os.environ, "_KFP_RUNTIME": "true", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", IN_A_STEP, host.url], capture_output=True, text=True, timeout=60, env=environment)
    assert (ran.stdout, ran.stderr) == ("None pass\n", "")
    assert [run["display_name"] for run in host.runs.values()] == ["canary_release digits"]


def test_a_runner_on_this_machine_that_a_step_starts_is_none_of_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_KFP_RUNTIME", "true")
    arguments = {"model_name": "digits", "platform": f"local://{tmp_path}/state", "reason": "a test"}
    run = LocalRun.start(Submission("abort_release", arguments, tmp_path / "runs"))
    assert run.process.wait(120) == 0, run.log.read_text()[-2000:]


@pytest.mark.parametrize("ask", [lambda host: RemoteRun.start(wanted(host)), lambda host: remote_run.check_host(host.url)])
def test_a_host_that_accepts_and_says_nothing_is_given_up(
    host: Host, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Host], object]
) -> None:
    monkeypatch.setattr(kfp_api, "TIMEOUT", 0.1)
    monkeypatch.setattr(kfp_api, "RETRIES", 1)
    host.pages[NEW] = Told(how="silent")
    with pytest.raises(Unavailable, match=f"KFP at {host.url} cannot be reached: .*timed out"):
        ask(host)
    assert asked(host, "GET", NEW) == 2


def test_a_lost_answer_to_a_new_run_starts_no_second_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_api, "TIMEOUT", 0.3)
    RemoteRun.start(wanted(host))
    host.pages[RUNS] = Told(how="cut")
    with pytest.raises(Unavailable, match="cannot be reached"):
        RemoteRun.start(wanted(host))
    assert asked(host, "POST", RUNS) == 2


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_releases_run_whose_answer_is_lost_is_found_again(how: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_api, "TIMEOUT", 0.3)
    host.loses = how
    named = Submission("canary_release", {**ARGUMENTS, "release_id": "digits-7"}, Path("unused"), host=host.url)
    run = RemoteRun.start(named)
    assert [*host.runs] == [run.run_id]
    assert host.runs[run.run_id]["display_name"] == "canary_release digits-7"


def test_a_release_is_submitted_again_only_where_its_run_does_not_go_on(host: Host) -> None:
    named = Submission("canary_release", {**ARGUMENTS, "release_id": "digits-7"}, Path("unused"), host=host.url)
    first = RemoteRun.start(named)
    assert RemoteRun.start(named).run_id == first.run_id
    for ended in ("FAILED", "CANCELING", "CANCELED", "SUCCEEDED"):
        host.runs[first.run_id]["state"] = ended
        again = RemoteRun.start(named)
        assert again.run_id != first.run_id
        first = again


def test_a_refusal_is_told_with_its_status(host: Host) -> None:
    host.pages[EXPERIMENTS] = Told(403, {"error": "as the test wants it"}, JSON)
    with pytest.raises(Unavailable, match=f"KFP at {host.url} answers 403"):
        RemoteRun.start(wanted(host))
