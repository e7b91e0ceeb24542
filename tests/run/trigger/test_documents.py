"""What docs/triggers.md and the examples show works as it is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import kfp
import pytest
import yaml
from kfp import compiler

from examples import recurring_release, retrain_and_release
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


def test_the_recurring_run_of_the_page_is_created_with_the_sdks_own_words() -> None:
    client: Any = create_autospec(kfp.Client, instance=True)
    client.create_experiment.return_value.experiment_id = "releases-1"
    seen: list[Any] = []

    def created(**given: Any) -> None:
        seen.append(next(yaml.safe_load_all(Path(given["pipeline_package_path"]).read_text())))

    client.create_recurring_run.side_effect = created
    (code,) = blocks("python")
    exec(code, {"client": client})
    given = client.create_recurring_run.call_args.kwargs
    assert (given["experiment_id"], given["no_catchup"], given["service_account"]) == ("releases-1", True, "tfcanary")
    assert set(given["params"]) <= set(seen[0]["root"]["inputDefinitions"]["parameters"])
    assert "exec-trigger-release" in seen[0]["deploymentSpec"]["executors"]


@pytest.mark.parametrize("pipeline", [retrain_and_release.retrain_and_release, recurring_release.recurring_release])
def test_the_example_compiles_and_releases_without_a_cache(tmp_path: Path, pipeline: Any) -> None:
    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    document = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))
    task = document["root"]["dag"]["tasks"]["trigger-release"]
    assert task.get("cachingOptions", {}) == {}
    run_id = task["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"]
    assert run_id == "{{$.pipeline_job_uuid}}"


def test_the_server_of_the_page_answers_only_with_the_token(site: Site, tmp_path: Path) -> None:
    with serving_on(tmp_path, document()) as server:
        assert Client(server.port, "").ask("POST", "/events", blocks("json")[0], content_type=STRUCTURED)[0] == 401
