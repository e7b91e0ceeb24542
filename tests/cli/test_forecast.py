"""`plan` says how long a release will take: from numbers, or from what stable counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.cli.test_cli import run
from tests.decide.judge import simulation
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.cli import plan as plan_verb
from tfcanary.core.domain import Pool, Sample, Track
from tfcanary.core.plan import Plan


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text("weights: [5, 50]")
    return path


Captured = pytest.CaptureFixture[str]


def test_numbers_alone_give_a_table_and_the_sentences(plan_file: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--rate", 2, "--error-rate", 0.001) == 0
    said = capsys.readouterr().out
    assert "2 requests/s, 0.1 % errors" in said
    assert "Outcome" in said
    assert "stage 1: at 2 requests/s and 50 % this needs 3.8 h" in said
    assert "assumed: no noise beyond chance" in said


def test_json_has_every_stage_with_its_times_beside_what_was_there(plan_file: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--rate", 200, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["finding"], said["objects"], said["plan"]["weights"]) == ("pass", [], [5, 50])
    assert said["decides"] is True
    stage = said["stages"][0]
    assert stage["weight"] == 5
    assert stage["promote"] == {"seconds": 660.0, "requests": 6600.0}
    assert set(stage["rollback"]) == {"errors x2", "errors x10", "p50 +10 %", "p99 +50 %"}
    assert stage["rollback"]["errors x10"]["seconds"] < stage["rollback"]["errors x2"]["seconds"]
    assert stage["sentences"] == []


def test_the_servers_of_each_stage_are_told_beside_those_that_stable_has(
    plan_file: Path, tmp_path: Path, world: World, capsys: Captured
) -> None:
    world.counts[Pool(1)] = 12
    plan_file.write_text("weights: [10, 50]\ndeploy: {baseline: true}")
    assert run("plan", plan_file, "--name", "digits", "--rate", 200, "--json", "--html", tmp_path / "page.html") == 0
    servers = json.loads(capsys.readouterr().out)["servers"]
    assert servers == [
        {"weight": 10, "stable": 12, "canary": 2, "baseline": 2},
        {"weight": 50, "stable": 12, "canary": 12, "baseline": 12},
    ]
    assert "The canary gets its servers before its share rises" in (tmp_path / "page.html").read_text()
    assert run("plan", plan_file, "--name", "digits") == 0
    said = capsys.readouterr().out
    assert "stage 0:  10 %, baseline 10 %, 2 servers beside stable's 12, 5 min to 1 h" in said


def test_without_a_model_the_servers_are_beside_as_many_of_stable_as_the_plan_says(plan_file: Path, capsys: Captured) -> None:
    plan_file.write_text("weights: [25]\nserving: {replicas: 9}")
    assert run("plan", plan_file) == 0
    assert "stage 0:  25 %, 3 servers beside stable's 9" in capsys.readouterr().out
    plan_file.write_text("weights: [25]\nserving: {replicas: 9, canary_replicas: 6}\ntraffic: {router: replicas}")
    assert run("plan", plan_file) == 0
    assert "3 servers" in capsys.readouterr().out, "with this router their number is the share, and no floor changes it"


def test_a_stage_that_cannot_decide_is_a_warning_and_with_strict_a_no(plan_file: Path) -> None:
    assert run("plan", plan_file, "--rate", 2) == 0
    assert run("plan", plan_file, "--rate", 2, "--strict") == 1
    assert run("plan", plan_file, "--rate", 200, "--strict") == 0


@pytest.mark.parametrize(
    "wrong", [("--rate", 0), ("--rate", "nan"), ("--rate", "inf"), ("--rate", 2, "--error-rate", 1.5), ("--rate", "x")]
)
def test_numbers_that_are_none_are_bad_input(plan_file: Path, wrong: tuple[object, ...]) -> None:
    assert run("plan", plan_file, *wrong) == 2


def test_without_numbers_and_model_a_plan_is_only_checked(plan_file: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--json") == 0
    assert json.loads(capsys.readouterr().out)["stages"] == []
    assert run("plan", plan_file, "--html", tmp_path / "page.html") == 2


def test_stable_s_own_counters_are_read_twice_where_there_is_no_history(world: World, plan_file: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["baseline"]["rate"] == pytest.approx(100, rel=0.01)
    assert said["baseline"]["error_rate"] == pytest.approx(0.001, abs=0.001)
    assert "two samples of stable" in said["baseline"]["notes"][0]
    assert world.weights == []


def test_a_stable_without_requests_gives_no_forecast_and_no_failure(world: World, plan_file: Path, capsys: Captured) -> None:
    world.rate = 0
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://") == 0
    assert "no forecast: digits: stable counted no request in 10 s: give the rate with --rate" in capsys.readouterr().err
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--rate", 5) == 0


def test_what_is_typed_wins_over_what_stable_counts(plan_file: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--rate", 7, "--json") == 0
    said = json.loads(capsys.readouterr().out)["baseline"]
    assert said["rate"] == 7
    assert said["notes"][-1] == "rate as typed"


def test_an_active_release_is_no_obstacle_to_a_forecast_and_is_named(world: World, plan_file: Path, capsys: Captured) -> None:
    ledger.begin(world.platform(), Plan(), "run-1")
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--rate", 20) == 0
    said = capsys.readouterr()
    assert "Outcome" in said.out
    assert "digits: release 'run-1' is active; another one can begin when it has ended" in said.err
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--json") == 0
    assert json.loads(capsys.readouterr().out)["reasons"] == ["digits: release 'run-1' is active; another one can begin when it has ended"]


def test_a_platform_without_objects_says_so_where_they_are_asked_for(
    world: World, plan_file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("plan", plan_file, "--name", "digits", "--platform", "fake://", "--diff")
    assert run(*command) == 0
    assert "no objects to show" not in capsys.readouterr().err
    monkeypatch.setattr(plan_verb, "_changes", lambda platform: ())
    assert run(*command) == 0
    assert "the local platform has no objects to show" in capsys.readouterr().err


@dataclass
class Remembers:
    """A metric source with two hours of a noisy stable."""

    def sample(self, track: Track, at: datetime) -> Sample:
        return Sample(track, up=False)

    def history(self, track: Track, at: datetime) -> Iterator[tuple[float, Sample]]:
        return iter(simulation.history(np.random.default_rng(3), simulation.NOISY))


def test_history_gives_rate_level_and_noise(world: World, plan_file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = replace(world.platform(), metrics=Remembers())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: kept)
    assert run("plan", plan_file, "--name", "digits", "--platform", "fake://", "--json") == 0
    noisy = json.loads(capsys.readouterr().out)
    assert noisy["baseline"]["rate"] == pytest.approx(200, rel=0.5)  # traffic has a daily wave
    assert noisy["baseline"]["notes"] == [noisy["baseline"]["notes"][0]]
    typed = ("--rate", noisy["baseline"]["rate"], "--error-rate", noisy["baseline"]["error_rate"])
    assert run("plan", plan_file, *typed, "--json") == 0
    calm = json.loads(capsys.readouterr().out)
    slow, fast = (said["stages"][0]["rollback"]["errors x10"]["seconds"] for said in (noisy, calm))
    assert slow > fast


def test_the_page_stands_alone_and_has_a_bar_for_each_outcome(plan_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("plan", plan_file, "--rate", 20, "--html", page) == 0
    text = page.read_text()
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    titles = [title.text for title in root.iter("title")]
    assert titles.count("promoted") == 2
    assert titles.count("errors x10") == 2
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


def test_a_plan_with_a_baseline_says_its_share_at_each_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "baseline.yaml"
    path.write_text("{weights: [5, 50, 60], deploy: {baseline: true}}")
    assert run("plan", path) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stage ")]
    shares = [line.split(", ")[1] for line in lines[:3]]
    assert shares == ["baseline 5 %", "baseline 50 %", "no baseline above 50 %"]
