"""What docs/triggers.md and the examples show works as it is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kfp import compiler

from examples import recurring_release, retrain_and_release
from tests.run.submit.kfp_host import Host
from tests.run.trigger.conftest import TOKEN, Client, Site, document, serving_on, until
from tfcanary.cli import tfcanary
from tfcanary.run.trigger import settings
from tfcanary.run.trigger.events import STRUCTURED

TEXT = (Path(__file__).parents[3] / "docs" / "triggers.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_every_event_of_the_page_starts_its_release(site: Site, tmp_path: Path) -> None:
    *events, _ = blocks("json")
    with serving_on(tmp_path, document()) as server:
        for version, event in zip("789", events, strict=True):
            site.export(version)
            assert server.ask("POST", "/events", event, content_type=STRUCTURED if "specversion" in event else "application/json")[0] == 202
            until(lambda version=version: site.pipelines.versions()[-1:] == [version])  # type: ignore[misc]
            site.end()


def test_the_notification_of_s3_on_the_page_starts_its_release(site: Site, tmp_path: Path) -> None:
    *_, of_s3 = blocks("json")
    for name in ("saved_model.pb", "_SUCCESS"):
        site.bucket("s3://exports/digits").write(f"10/{name}", b"")
    in_s3 = document()["models"]["digits"] | {"exports": "s3://exports/digits"}
    with serving_on(tmp_path, document(models={"digits": in_s3})) as server:
        assert server.ask("POST", "/events", of_s3)[0] == 202
        until(lambda: site.pipelines.versions()[-1:] == ["10"])


def test_the_settings_of_the_page_are_settings(site: Site, tmp_path: Path) -> None:
    shown, receivers = (yaml.safe_load(block) for block in blocks("yaml"))
    shown["auth"] = {"token_file": "token"}
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "trigger.yaml").write_text(json.dumps(shown))
    assert settings.read(tmp_path / "trigger.yaml").target.host == "http://ml-pipeline.kubeflow:8888"
    assert receivers["receivers"][0]["webhook_configs"][0]["url"].endswith("/alerts")


def test_every_option_of_the_page_is_one_of_the_command_line() -> None:
    lines = re.findall(r"^tfcanary trigger .*(?:\n +\[.*)?", TEXT, re.M)
    assert len(lines) == 2
    for line in lines:
        verb = tfcanary.commands["trigger"].commands[line.split()[2]]  # type: ignore[attr-defined]
        known = {option for parameter in verb.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Host]:
    """A host that lets in whoever has the token of auth.yaml."""
    monkeypatch.setenv("HOME", str(tmp_path))  # the SDK keeps a context there
    (tmp_path / "kfp-token").write_text("tok-abc")
    (tmp_path / "auth.yaml").write_text("token_file: kfp-token")
    (tmp_path / "plan.yaml").write_text("{weights: [10, 50], bucket: {canary: gs://models/canary}}")
    host = Host()
    host.wanted = {"Authorization": "Bearer tok-abc"}
    yield host
    host.close()


def the_command_of_the_page(host: Host, folder: Path) -> list[str]:
    (command,) = re.findall(r"^python -m examples.recurring_release (.*(?:\n +.*)*)", TEXT, re.M)
    put = {
        "https://kubeflow.example.com/pipeline": host.url,
        "auth.yaml": str(folder / "auth.yaml"),
        "plan.yaml": str(folder / "plan.yaml"),
    }
    return [put.get(word, word) for word in command.split()]


def test_the_recurring_run_of_the_page_is_scheduled_with_its_values_and_credentials(host: Host, tmp_path: Path) -> None:
    done = CliRunner().invoke(recurring_release.main, the_command_of_the_page(host, tmp_path))
    assert (done.exit_code, done.output) == (0, "scheduled: recurring run recurring-1\n"), done.output
    (made,) = host.recurring
    assert (host.experiments[0]["display_name"], made["experiment_id"]) == ("releases", host.experiments[0]["experiment_id"])
    assert (made["service_account"], made["no_catchup"], made["max_concurrency"], made["mode"]) == ("tfcanary", True, 1, "ENABLE")
    assert made["runtime_config"]["parameters"] == {
        "exports": "gs://exports/digits",
        "model_name": "digits",
        "platform": "kube://serving",
        "plan": {"weights": [10, 50], "bucket": {"canary": "gs://models/canary"}},
        "host": "http://ml-pipeline.kubeflow:8888",
        "complete": "_SUCCESS",
    }
    assert set(made["runtime_config"]["parameters"]) == set(
        made["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    )
    executors = made["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert executors["exec-trigger-release"]["container"]["image"] == "<repository>/tfcanary@sha256:<digest>"


@pytest.mark.parametrize(
    ("without", "code", "sentence"),
    [
        ("--image", 2, "image (--image): is missing"),
        ("--host-auth", 3, "it asks for credentials"),
        ("--name", 2, "Missing option '--name'"),
        ("--platform", 2, "Missing option '--platform'"),
    ],
)
def test_a_recurring_run_is_not_scheduled_without_its_values(host: Host, tmp_path: Path, without: str, code: int, sentence: str) -> None:
    given = the_command_of_the_page(host, tmp_path)
    at = given.index(without)
    done = CliRunner().invoke(recurring_release.main, given[:at] + given[at + 2 :])
    assert (done.exit_code, host.recurring) == (code, [])
    assert sentence in done.output


def test_the_retraining_pipeline_is_written_with_the_image_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(retrain_and_release.main, ["example/tfcanary:1"]).exit_code == 0
    executors = next(yaml.safe_load_all(Path("retrain_and_release.yaml").read_text()))["deploymentSpec"]["executors"]
    assert [one["container"]["image"] for one in executors.values()] == ["python:3.11", "example/tfcanary:1"]


@pytest.mark.parametrize("pipeline", [retrain_and_release.retrain_and_release, recurring_release.recurring_release])
def test_the_example_compiles_and_releases_without_a_cache(tmp_path: Path, pipeline: Any) -> None:
    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    document, pods = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    task = document["root"]["dag"]["tasks"]["trigger-release"]
    assert task.get("cachingOptions", {}) == {}
    run_id = task["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"]
    assert run_id == "{{$.pipeline_job_uuid}}"
    container = document["deploymentSpec"]["executors"]["exec-trigger-release"]["container"]
    assert container["resources"]["resourceMemoryRequest"] == "256Mi"
    pod = pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-trigger-release"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["podMetadata"]["labels"]["access-ml-pipeline"] == "true"
    assert pod["podMetadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_the_server_of_the_page_answers_only_with_the_token(site: Site, tmp_path: Path) -> None:
    with serving_on(tmp_path, document()) as server:
        assert Client(server.port, "").ask("POST", "/events", blocks("json")[0], content_type=STRUCTURED)[0] == 401
