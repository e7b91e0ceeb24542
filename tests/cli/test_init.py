"""`init` writes a plan that decodes, whose comments are true, and that says what is to be filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.cli.test_cli import run
from tests.fakes import World
from tfcanary import adapters
from tfcanary.cli.init import plan_text
from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan
from tfcanary.report.departures import departures

Captured = pytest.CaptureFixture[str]
LOCAL, CLUSTER = "local:///srv/state", "kube://serving"
FIELD = re.compile(r"^( *)# ( *)(\w+:(?: .*)?)$", re.MULTILINE)
"""A field that stands in a comment: its name and a colon, nothing before it but spaces."""


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


def filled(text: str) -> str:
    """With something in the place of what is to be filled in."""
    text = text.replace("<digest>", "0" * 64).replace("[<host name>]", "[digits.example.com]")
    return re.sub(r"<\w+>", "mine", text)


def decoded(text: str) -> Plan:
    plan: Plan = codec.decode(Plan, yaml.safe_load(filled(text)), at="plan.yaml")
    return plan


@pytest.mark.parametrize(
    ("platform", "fields"),
    [
        (LOCAL, set()),
        (CLUSTER, {"bucket.canary", "serving.image", "serving.replicas", "traffic.gateway", "traffic.hostnames", "metrics.url"}),
    ],
)
def test_the_plan_decodes_and_differs_from_the_defaults_only_where_a_platform_needs_it(platform: str, fields: set[str]) -> None:
    plan = decoded(plan_text(platform, Path("plan.yaml"), "digits", has_stable=True))
    assert {one.field for one in departures(plan)} == fields


@pytest.mark.parametrize("platform", [LOCAL, CLUSTER])
def test_every_field_in_a_comment_has_its_default(platform: str) -> None:
    """Taken out of their comments, the fields change nothing; but a comparison that is asked for needs its source."""
    text = plan_text(platform, Path("plan.yaml"), "", has_stable=False)
    bare, whole = decoded(text), decoded(FIELD.sub(r"\1\2\3", text))
    assert len(FIELD.findall(text)) > 10
    assert {one.field for one in departures(whole)} - {one.field for one in departures(bare)} == {"predictions", "predictions.source"}


def test_a_first_release_is_bootstrapped_and_a_later_one_is_not() -> None:
    assert decoded(plan_text(LOCAL, Path("p"), "digits", has_stable=False)).bootstrap
    assert not decoded(plan_text(LOCAL, Path("p"), "digits", has_stable=True)).bootstrap
    assert not decoded(plan_text(LOCAL, Path("p"), "", has_stable=False)).bootstrap


def test_what_is_not_filled_in_is_refused() -> None:
    with pytest.raises(Refused, match="must be pinned by digest"):
        codec.decode(Plan, yaml.safe_load(plan_text(CLUSTER, Path("p"), "digits", has_stable=True)), at="plan.yaml")


def test_the_file_is_written_once_and_can_be_checked(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init", "--platform", LOCAL) == 0
    assert "check it with `tfcanary plan plan.yaml`" in capsys.readouterr().err
    assert run("plan", "plan.yaml") == 0
    (tmp_path / "plan.yaml").write_text("mine")
    assert run("init", "--platform", LOCAL) == 2
    assert "plan.yaml: exists already; --force replaces it" in capsys.readouterr().err
    assert (tmp_path / "plan.yaml").read_text() == "mine"
    assert run("init", "--platform", LOCAL, "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "written"
    assert "weights: [5, 25, 50]" in (tmp_path / "plan.yaml").read_text()


def test_the_record_says_whether_the_model_has_a_stable_version(world: World, tmp_path: Path) -> None:
    assert run("init", tmp_path / "next.yaml", "--name", "digits", "--platform", LOCAL) == 0
    assert "bootstrap" not in (tmp_path / "next.yaml").read_text()
    world.records.stored = None
    assert run("init", tmp_path / "first.yaml", "--name", "digits", "--platform", LOCAL) == 0
    assert "# digits has no stable version yet" in (tmp_path / "first.yaml").read_text()


def test_a_platform_that_is_none_and_a_folder_that_is_none_are_bad_input(tmp_path: Path, capsys: Captured) -> None:
    assert run("init", tmp_path / "plan.yaml", "--platform", "nowhere") == 2
    assert "is no platform" in capsys.readouterr().err
    assert run("init", tmp_path / "none" / "plan.yaml", "--platform", LOCAL) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
