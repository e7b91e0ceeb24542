"""The pipelines in Kubeflow's own pages: uploaded with the descriptions that the packages hold."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.adapters.kubeclient.api_server import Told
from tests.cli.test_cli import run
from tests.run.submit.kfp_host import JSON, PIPELINES, Host
from tfcanary import __version__
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.run.submit import package
from tfcanary.run.submit.publication import upload

IMAGE = "example/tfcanary:1"
NAMES = {"canary-release": "canary_release", "abort-release": "abort_release"}


def test_each_pipeline_has_its_own_description_without_anybody_typing_it(host: Host) -> None:
    upload(host.url, image=IMAGE)
    assert [one["display_name"] for one in host.pipelines.values()] == list(NAMES)
    for id, pipeline in host.pipelines.items():
        compiled = next(yaml.safe_load_all(package(NAMES[pipeline["display_name"]])))
        assert pipeline["description"] == compiled["pipelineInfo"]["description"]
        assert "* model_name: the name under which" in pipeline["description"]
        version = host.versions[id, f"{pipeline['display_name']}-{__version__}"]
        assert version["description"] == pipeline["description"]
        assert IMAGE in version["file"]
        assert "securityContext" in version["file"], "the pods' settings are in it, too"


def test_what_the_host_has_already_gets_a_new_version_or_stays_as_it_is(host: Host) -> None:
    assert [one.uploaded for one in upload(host.url, image=IMAGE)] == [True, True]
    assert [one.uploaded for one in upload(host.url, image=IMAGE)] == [False, False]
    assert [one.uploaded for one in upload(host.url, image=IMAGE, version="mine")] == [True, True]
    assert (len(host.pipelines), len(host.versions)) == (2, 4)


def test_the_command_line_says_what_is_there(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("upload", "--image", IMAGE, "--host", host.url) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"canary-release: version canary-release-{__version__} was uploaded"
    assert run("upload", "--image", IMAGE, "--host", host.url, "--json") == 0
    assert json.loads(capsys.readouterr().out)["pipelines"][0]["uploaded"] is False
    assert run("upload", "--host", host.url) == 2
    assert "--image" in capsys.readouterr().err
    assert run("upload") == 2
    assert "name the Kubeflow Pipelines endpoint" in capsys.readouterr().err


def test_an_image_that_kubernetes_would_change_is_refused_and_nothing_is_uploaded(host: Host) -> None:
    with pytest.raises(Refused, match=r"image: 'example/\$\(id\)' is not allowed: Argo and Kubernetes would expand"):
        upload(host.url, image="example/$(id)")
    assert not host.pipelines


def test_a_host_that_takes_no_pipeline_is_told_with_its_sentence(host: Host) -> None:
    host.pages[PIPELINES] = Told(403, {"error_message": "User is not authorized"}, JSON)
    with pytest.raises(Unavailable, match=r"answers 403 .*User is not authorized"):
        upload(host.url, image=IMAGE)
