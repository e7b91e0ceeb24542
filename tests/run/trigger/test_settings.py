"""The settings: one sentence, with the file and the place, for everything that is wrong before the server listens."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import run
from tests.conftest import QUICK
from tests.run.trigger.conftest import EXPORTS, TOKEN, Client, Site, document, serving_on, until
from tfcanary.core.errors import Refused
from tfcanary.run.trigger import serving, settings, uris

DIGITS: dict[str, Any] = {"exports": "gs://exports/digits", "plan": QUICK}
LARGE = {"serving": {"pod_patch": {"metadata": {"annotations": {"note": "x" * 10_000}}}}}
OIDC = {"issuer": "i", "audience": "a", "jwks_url": "https://keys.example", "callers": ["c"]}


def written(folder: Path, said: Any) -> Path:
    (folder / "token").write_text(TOKEN)
    path = folder / "trigger.yaml"
    path.write_text(json.dumps(said))
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"auth": ...}, "auth: is missing"),
        ({"auth": {}}, "name either `token_file` or `oidc`"),
        ({"auth": {"token_file": "token", "oidc": OIDC}}, "name either `token_file` or `oidc`"),
        ({"auth": {"token_file": "nowhere"}}, "the token cannot be read"),
        ({"auth": {"token_file": "short"}}, "fewer than 16 characters"),
        ({"auth": {"oidc": {**OIDC, "jwks_url": "http://keys.example"}}}, "must begin with https://"),
        ({"auth": {"oidc": {**OIDC, "callers": []}}}, "callers must not be empty"),
        ({"models": {}}, "must name at least one model"),
        ({"models": {"Digits": DIGITS}}, "'Digits' is no name"),
        ({"models": {"digits": {**DIGITS, "exports": "hdfs://a/b"}}}, "use gs://bucket/folder, s3://bucket/folder, or a directory"),
        ({"models": {"digits": {**DIGITS, "exports": "gs://exports/../b"}}}, "'..' is not taken"),
        ({"models": {"digits": {**DIGITS, "complete": "a/b"}}}, "must be the plain name of an object"),
        ({"models": {"digits": {**DIGITS, "settle": "2h"}}}, "at most an hour"),
        ({"models": {"digits": {"exports": "gs://a/b"}}}, "name either `plan` or `plan_file`"),
        ({"models": {"digits": {**DIGITS, "plan_file": "plan.yaml"}}}, "name either `plan` or `plan_file`"),
        ({"models": {"digits": {"exports": "gs://exports/digits", "plan_file": "no.yaml"}}}, "no.yaml: cannot be read"),
        ({"models": {"digits": {**DIGITS, "plan": {"weigths": [5]}}}}, "did you mean 'weights'"),
        ({"models": {"digits": DIGITS, "faces": DIGITS}}, "the exports of digits lie in those of faces"),
        ({"models": {"digits": {**DIGITS, "exports": "gs://exports/digits/a/"}, "faces": DIGITS}}, "lie in those of faces"),
        ({"every": "0s"}, "must be from 1s to 5m"),
        ({"host": "http://kfp.example"}, "trigger.yaml.image: is missing, and the package names"),
        ({"host": "http://kfp.example", "image": "a:1", "models": {"digits": {**DIGITS, "plan": LARGE}}}, "models.digits.plan: has 10,"),
        ({"modles": {}}, "did you mean 'models'"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_file(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "short").write_text("short")
    said = {key: value for key, value in {**document(), **change}.items() if value is not ...}
    assert run("trigger", "serve", "--settings", written(tmp_path, said), "--port", 0) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert str(tmp_path) in error or "token" in error


def test_without_authentication_only_this_machine_may_ask(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = document(auth="none")
    for address in ("0.0.0.0", "::", "10.0.0.1"):
        assert run("trigger", "serve", "--settings", written(tmp_path, said), "--host-address", address) == 2
        assert "only this machine may ask" in capsys.readouterr().err
    with serving_on(tmp_path, said) as server:
        assert Client(server.port, "").offer(site.export(7))[0] == 202


def test_a_port_that_is_taken_is_refused(site: Site, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Refused, match="cannot listen there"):
        serving.set_up(settings.read(written(tmp_path, document())), "127.0.0.1", taken.getsockname()[1])


def test_plans_lie_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("weights: [7]\nwaiting: all")
    said = document(models={"digits": {"exports": EXPORTS["digits"] + "/", "plan_file": "plan.yaml"}})
    read = settings.read(written(tmp_path, said))
    assert read.models["digits"].exports == EXPORTS["digits"]
    assert (read.models["digits"].resolved_plan.weights, read.models["digits"].resolved_plan.waiting.value) == ((7,), "all")
    assert read.auth is not None
    assert read.auth.token_file == str(tmp_path / "token")


def test_a_release_of_the_settings_knows_its_host_for_programs_and_for_people(site: Site, tmp_path: Path) -> None:
    host = {"host": "http://ml-pipeline.kubeflow:8888", "host_ui": "https://kubeflow.example", "image": "example/tfcanary:1"}
    with serving_on(tmp_path, document(**host, host_auth={"token_file": "kfp-token"})) as server:
        server.offer(site.export(7))
        (job,) = until(lambda: site.pipelines.submissions)
    assert (job.host, job.host_ui) == ("http://ml-pipeline.kubeflow:8888", "https://kubeflow.example")
    assert job.host_auth.token_file == str(tmp_path / "kfp-token"), "beside the settings"


def test_a_folder_has_one_spelling() -> None:
    assert uris.normalise("gs://a-bucket/b/") == "gs://a-bucket/b"
    assert uris.normalise("s3://a-bucket/b/") == "s3://a-bucket/b"
    assert uris.normalise("file:///srv/exports") == uris.normalise("/srv/exports/") == "/srv/exports"
    assert uris.normalise("file:///srv/my%20exports") == uris.normalise("/srv/my exports") == "/srv/my exports"
    assert not uris.is_below("gs://a/bc", "gs://a/b")
    for wrong in (
        "relative",
        "/",
        "",
        "gs://",
        "gs://A",
        "s3://",
        "s3://A",
        "s3://a/%2e%2e/b",
        "file://host/a",
        "/a/./b",
        "/a/..",
        "/a$(b)",
        "/a{{b",
        "file:///a/%2e%2e",
        "/a\\b",
        f"/{'a' * 256}",
        "/a\0",
        "/a\n",
    ):
        with pytest.raises(Refused):
            uris.normalise(wrong)
