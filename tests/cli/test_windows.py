"""What people type and read about the stages and the windows of a plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.test_cli import run
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import ledger, rise, rollback
from tfcanary.core import codec
from tfcanary.core.plan import FreezePlan, Plan
from tfcanary.core.record import State
from tfcanary.report import release_markdown
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.of_history import history_page
from tfcanary.run.submit import progress
from tfcanary.run.submit.snapshots import Snapshot

Captured = pytest.CaptureFixture[str]
FREEZE = FreezePlan("Europe/Berlin", "2026-01-31", "2026-02-01", "the sale")


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    monkeypatch.setenv("TFCANARY_PLATFORM", "fake://")


@pytest.fixture
def waiting(world: World, plan: Plan) -> World:
    """A release that waits for its window."""
    ledger.begin(world.platform(), replace(plan, freeze=(FREEZE,)), "run-1")
    now = world.clock.now()
    ledger.change(world.platform(), "run-1", lambda r: rise.awaiting_window(replace(r, state=State.WATCHED), now))
    return world


ALONE = "1 server beside stable's 1"


@pytest.mark.parametrize(
    ("weights", "lines"),
    [
        ("{from: 10, to: 40, factor: 2}", [f"stage {i}:  {10 * 2**i} %, {ALONE}, 5 min to 1 h" for i in range(3)]),
        ("{from: 10, to: 30, step: 20}", [f"stage {i}:  {10 + 20 * i} %, {ALONE}, 5 min to 1 h" for i in range(2)]),
        (
            "[{weight: 5, minimum: 30m, samples: 500}, {weight: 50, maximum: 4h, approval: every}]",
            [
                f"stage 0:   5 %, {ALONE}, 30 min to 1 h",
                "at least 500 canary requests",
                f"stage 1:  50 %, {ALONE}, 5 min to 4 h",
                "and a person's approval",
            ],
        ),
    ],
)
def test_plan_prints_what_the_weights_became(weights: str, lines: list[str], tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"weights: {weights}")
    assert run("plan", path) == 0
    printed = capsys.readouterr().out
    assert not [line for line in lines if line not in printed]
    assert run("plan", path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert not [line for line in lines if line not in "\n".join(said["schedule"])]
    plan: Plan = codec.decode(Plan, said["plan"])
    assert len(plan.weights) == len(said["schedule"])


def test_the_page_of_a_plan_has_its_stages_and_windows(tmp_path: Path) -> None:
    page = tmp_path / "plan.md"
    assert run("plan", "examples/office_hours.yaml", "--rate", 50, "--html", page) == 0
    assert "Stage 3:  40 %, 1 server beside stable's 1, 15 min to 4 h" in page.read_text()
    assert "The window closes on" in page.read_text() or "the window that closes on" in page.read_text()


def test_plan_says_when_a_release_that_begins_now_may_rise(world: World, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("freeze: [{zone: Europe/Berlin, from: 2026-01-31, to: 2026-02-01, why: the sale}]")
    assert run("plan", path, "--name", "digits") == 0
    assert "outside its windows (the sale): the first weight rises on Mon 2026-02-02 00:00 CET at the earliest" in capsys.readouterr().out


def test_status_says_for_what_a_release_waits_and_until_when(waiting: World, capsys: Captured) -> None:
    assert run("status", "digits") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "weights may rise on Mon 2026-02-02 00:00 CET at the latest" in said
    assert run("status", "digits", "--json") == 0
    pause = json.loads(capsys.readouterr().out)["release"]["pause"]
    assert (pause["approval"], pause["until"]) == (False, "2026-02-01T23:00:00+00:00")


def test_the_progress_of_a_release_says_that_it_waits_for_its_window(waiting: World) -> None:
    record = ledger.read(waiting.platform())
    assert record.release is not None
    picture = progress.notebook_bundle(Snapshot(record, record.release, None), waiting.clock.now())["text/plain"]
    assert "waits for its window, until Mon 2026-02-02 00:00 CET at the latest, at 0 %" in " ".join(picture.split())


def test_override_window_needs_a_reason_which_status_page_and_history_show(waiting: World, capsys: Captured) -> None:
    assert run("override-window", "digits") == 2
    assert "--reason" in capsys.readouterr().err
    assert run("override-window", "digits", "--reason", "the outage cannot wait") == 0
    assert run("status", "digits") == 0
    assert "windows overridden: the outage cannot wait" in capsys.readouterr().out
    assert "the outage cannot wait" in release_markdown(ledger.read(waiting.platform()))
    rollback.roll_back(waiting.platform(), "run-1", "enough")
    assert run("history", "digits") == 0
    assert "windows overridden: the outage cannot wait" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "enough (windows overridden: the outage cannot wait)" in as_markdown(history_page(ledger.read(waiting.platform())))
