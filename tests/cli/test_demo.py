"""`demo`: it comes with the package, removes only what it made itself, prints each result once, and says how it went by its exit code."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import ended, run
from tfcanary import adapters, report
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.adapters import local
from tfcanary.cli.demo import four_releases
from tfcanary.cli.demo.four_releases import CANDIDATES, MARKER, MODULES, DemoCandidate
from tfcanary.cli.demo.users import UserAnswers
from tfcanary.core.domain import Decision, Evidence, Finding, Look, Verdict
from tfcanary.core.errors import Unavailable
from tfcanary.core.record import Record, Release, State
from tfcanary.core.timeline import Point, Timeline
from tfcanary.run.submit import progress
from tfcanary.run.submit.snapshots import Snapshot

ROOT = Path(__file__).parents[2]


@dataclass
class Theatre:
    """What the demo finds outside of itself, and what it did there."""

    up: list[Path] = field(default_factory=list)
    down: list[Path] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    users_stopped: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Of every release's users."""
    ends: dict[str, Release] = field(default_factory=dict)


@dataclass
class StandInRun:
    theatre: Theatre
    model: str

    def result(self) -> bool | None:
        return True if self.model in self.theatre.ends else None

    def stop(self) -> None:
        self.theatre.stopped.append(self.model)


@dataclass
class StandInHandle:
    run: StandInRun
    platform: Any = field(default_factory=lambda: _Anything())

    def follow(self) -> Iterator[Snapshot]:
        if self.run.model not in self.run.theatre.ends:
            raise KeyboardInterrupt
        release = self.run.theatre.ends[self.run.model]
        point = Point(release.began, 10, stable_requests=5_000.0, canary_requests=620.0)
        yield Snapshot(Record("digits", "0"), release, Checkpoint("", Timeline((point,)), Verdict(Decision.HOLD, "said")))


class StandInUsers:
    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre

    def start(self) -> None:
        assert self.theatre.submitted == ["v1"], "users come when the first model is stable"

    def take_answers(self) -> UserAnswers:
        return UserAnswers(100, 190, 200, Counter(self.theatre.failed))

    def stop(self) -> None:
        self.theatre.users_stopped += 1


def expected_end(candidate: DemoCandidate) -> Release:
    release = ended(candidate.end_state, "metrics/errors")
    found_bad = Look("gate", (Evidence("gate/it", Finding.FAIL, "it is bad"),))
    if candidate.refused_by:
        return replace(release, looks={candidate.refused_by: found_bad})
    return replace(release, first_traffic=release.began)


@pytest.fixture
def theatre(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Theatre]:
    """The demo itself, with stand-ins for the platform, the training, the pipeline and the users."""
    theatre = Theatre(ends={"v1": ended(State.PROMOTED, "metrics/errors"), **{one.model: expected_end(one) for one in CANDIDATES}})

    def release(model: str, name: str, plan: object, uri: str) -> StandInHandle:
        theatre.submitted.append(Path(model).name)
        return StandInHandle(StandInRun(theatre, Path(model).name))

    def show(snapshots: Iterator[Snapshot], clock: object) -> Snapshot:
        return next(snapshots)

    monkeypatch.setattr(local, "up", lambda folder, port=None: theatre.up.append(folder))
    monkeypatch.setattr(local, "down", theatre.down.append)
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: _Anything())
    monkeypatch.setattr(progress, "show", show)
    monkeypatch.setattr(four_releases, "SETTLE", 0.0)
    monkeypatch.setattr(four_releases, "train", lambda models: models.mkdir())
    monkeypatch.setattr(four_releases, "submit_release", release)
    monkeypatch.setattr(four_releases, "Users", lambda *arguments: StandInUsers(theatre))
    monkeypatch.setattr(report, "release_html", lambda *arguments: "<p>page</p>")
    monkeypatch.chdir(tmp_path)
    yield theatre
    assert theatre.users_stopped == (len(theatre.submitted) > 1)


class _Anything:
    """A platform of which only the address of its router is asked."""

    def __getattr__(self, name: str) -> Any:
        return _Anything()

    def __call__(self) -> str:
        return "http://127.0.0.1:1"


def test_all_four_as_they_should_be_is_exit_0_and_each_is_printed_once(
    theatre: Theatre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("demo") == 0
    said = capsys.readouterr().out
    for candidate in CANDIDATES:
        assert said.count(f"✓ {candidate.title}: ") == 1
    assert said.count("the first model") == 1
    assert said.count("; 620 requests reached it\n  users: ") == 2
    assert said.count("; no request reached it") == 3
    folder = tmp_path / ".tfcanary" / "demo"
    assert said.splitlines()[-1] == f"as it should be; pages: {folder}/*.html"
    assert {page.stem for page in folder.glob("*.html")} == {one.model for one in CANDIDATES}
    assert theatre.submitted == ["v1", *(one.model for one in CANDIDATES)]
    assert (theatre.up, theatre.down[-1]) == ([folder / "platform"], folder / "platform")
    assert Path.cwd() == tmp_path


def test_json_is_one_object_and_the_lines_go_to_stderr(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--json") == 0
    said = capsys.readouterr()
    shown = json.loads(said.out)
    assert (shown["finding"], len(shown["reasons"]), [one["as_expected"] for one in shown["releases"]]) == ("pass", 5, [True] * 4)
    assert "as it should be" in said.err


def promoted(release: Release) -> Release:
    return replace(release, state=State.PROMOTED)


def for_another_reason(release: Release) -> Release:
    return replace(release, looks={"push": next(iter(release.looks.values()))})


def never_watched(release: Release) -> Release:
    return replace(release, watched=())


@pytest.mark.parametrize(
    ("model", "otherwise"),
    [
        ("v1", lambda release: replace(release, state=State.REFUSED)),
        ("better", never_watched),
        ("breaks-under-load", promoted),
        ("other-signature", for_another_reason),
        ("confidently-wrong", for_another_reason),
    ],
)
def test_one_release_that_ends_otherwise_is_exit_1(
    theatre: Theatre, capsys: pytest.CaptureFixture[str], model: str, otherwise: Callable[[Release], Release]
) -> None:
    theatre.ends[model] = otherwise(theatre.ends[model])
    assert run("demo") == 1
    said = capsys.readouterr().out
    assert said.count("✗") == 1
    assert "not as it should be" in said


def test_a_failure_that_is_not_the_models_own_is_exit_1_and_named(theatre: Theatre, capsys: pytest.CaptureFixture[str]) -> None:
    theatre.failed["the feature buffer is too small for this batch"] = 3
    assert run("demo") == 0
    theatre.submitted.clear()
    theatre.users_stopped = 0
    theatre.failed["no answer: ConnectionRefusedError()"] = 2
    assert run("demo") == 1
    assert "2 requests failed because of tfcanary: no answer: ConnectionRefusedError()" in capsys.readouterr().out


def test_an_interrupt_ends_the_pipeline_the_users_and_the_platform(theatre: Theatre) -> None:
    del theatre.ends["better"]
    assert run("demo") == 3
    assert theatre.stopped == ["better"]
    assert theatre.down[-1] == theatre.up[0]


def test_what_an_earlier_demo_left_is_removed_and_anything_else_is_not(
    theatre: Theatre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    (mine / "models").mkdir(parents=True)
    (mine / "models" / "v1").write_text("my only model")
    assert run("demo", "--folder", mine) == 2
    assert "no demo made it, so nothing is removed; name another one with --folder" in capsys.readouterr().err
    assert (mine / "models" / "v1").read_text() == "my only model"
    assert theatre.up == theatre.down == theatre.submitted == []
    (mine / MARKER).touch()
    assert run("demo", "--folder", "mine") == 0
    assert not (mine / "models" / "v1").exists()
    assert (mine / MARKER).exists()


def test_a_folder_that_cannot_be_made_is_bad_input(theatre: Theatre, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run("demo", "--folder", tmp_path / "file" / "demo") == 2
    said = capsys.readouterr().err
    assert "cannot be written (Not a directory); name another one with --folder" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("module", MODULES)
def test_what_is_not_installed_is_named_before_anything_happens(
    theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else found(name))
    assert run("demo") == 2
    assert capsys.readouterr().err == f"tfcanary: the demo needs the module {module!r}: pip install 'tfcanary[local]'\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("load", "busy"), [(0.4, False), (6.0, True)])
def test_a_busy_machine_is_said_once_before_anything_takes_long(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], load: float, busy: bool
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert run("demo") == 0
    said = "this machine is busy: 6.0 processes compete for 2 processors; the demo waits for its answers, and takes longer"
    assert capsys.readouterr().err.count(said) == busy


def test_the_demos_releases_have_a_baseline(tmp_path: Path) -> None:
    plan = four_releases.read_plan(tmp_path / "golden.jsonl")
    assert [str(plan.traffic_at(weight)) for weight in plan.weights] == ["10 %, baseline 10 %", "50 %, baseline 50 %"]


def test_a_training_that_fails_is_one_sentence_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match=r"it said nothing; see .*training\.log"):
        four_releases.train(tmp_path)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho noise\necho 'MemoryError: no room' >&2\necho\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(Unavailable, match=r"could not be trained: MemoryError: no room; see"):
        four_releases.train(tmp_path)


def test_the_plan_comes_with_the_package_and_names_the_golden_requests_by_their_place(tmp_path: Path) -> None:
    plan = four_releases.read_plan(tmp_path / "golden.jsonl")
    assert plan.predictions is not None
    assert (plan.predictions.source, plan.weights) == (str(tmp_path / "golden.jsonl"), (10, 50))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_runs_from_a_folder_of_anybodys_and_leaves_nothing_outside_of_its_own(tmp_path: Path) -> None:
    """For real, by the command line, without a terminal."""
    here = tmp_path / "a folder of mine"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TFCANARY_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-W", "ignore", "-m", "tfcanary", "demo"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [line[0] for line in lines] == ["✓", *["✓", " "] * 4, "a"]
    assert not [word for word in ("tensorflow", "onednn", "absl", "warning", "traceback", "kfp") if word in done.stderr.lower()]
    assert [path.name for path in here.iterdir()] == [".tfcanary"]
    assert [path.name for path in (here / ".tfcanary").iterdir()] == ["demo"]
    assert not local.status(here / ".tfcanary" / "demo" / "platform")["up"]
