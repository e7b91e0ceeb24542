"""The command line: one sentence and the right exit code for everything that can be wrong before anything happens."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import QUICK
from tests.fakes import World
from tests.look.savedmodel.family import family
from tests.report import samples
from tfcanary import adapters
from tfcanary.act import ledger, rollback
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.cli import main
from tfcanary.cli.release import exit_code
from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.domain import UNDECIDED, Decision, Evidence, Finding, Verdict
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Release, State, Waiting
from tfcanary.look.savedmodel import manifest
from tfcanary.run import steps
from tfcanary.run.trigger import uris


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps(QUICK))
    return path


def run(*arguments: object) -> int:
    """The exit code."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def release(model: object, plan: object) -> int:
    return run("release", model, "--name", "digits", "--plan", plan, "--platform", "fake://")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("weigths: [5]", "weigths: unknown key; did you mean 'weights'?"),
        ("weights: [50, 5]", "must not fall from one stage to the next"),
        ("weights: [5, 500]", "each must be a whole percent from 0 to 99"),
        ("weights: [1, 2, 3, 4, 5, 6]", "at most 5 fit into the graph"),
        ("weights: [", "not YAML"),
        ("just text", "is not an object with weights"),
    ],
)
def test_a_wrong_plan_is_bad_input_with_its_file_and_place(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], document: str, sentence: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(document)
    before = world.records.stored
    assert release(family() / "good", path) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert str(path) in said
    assert len(said.strip().splitlines()) == 1
    assert world.records.stored == before


def test_a_plan_that_does_not_exist_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release(family() / "good", tmp_path / "none.yaml") == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["missing", "empty", "no model"])
def test_a_path_that_is_no_savedmodel_is_bad_input(
    world: World, plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    model = tmp_path / "model"
    if what != "missing":
        model.mkdir()
    if what == "no model":
        (model / "weights.h5").write_bytes(b"not a SavedModel")
    assert release(model, plan_file) == 2
    assert str(model) in capsys.readouterr().err
    assert ledger.read(world.platform()).release is None


def submitters(model: object, plan: object) -> list[tuple[object, ...]]:
    """The verbs that take a candidate's path."""
    return [
        ("release", model, "--name", "digits", "--plan", plan, "--platform", "fake://"),
        ("validate", model),
        ("trigger", "watch", model, "--name", "digits", "--plan", plan, "--platform", "fake://"),
    ]


@pytest.mark.parametrize("name", ["$(id)", "{{workflow.name}}"])
def test_a_path_that_kubernetes_would_change_is_refused_alike_by_every_verb_and_by_the_trigger(
    monkeypatch: pytest.MonkeyPatch, world: World, plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(family() / "good", tmp_path / name)
    sentence = "is not allowed: Argo and Kubernetes would expand '{{' and '$('"
    sentences = set()
    for arguments in submitters(name, plan_file):
        assert run(*arguments) == 2
        sentences.add(capsys.readouterr().err)
    with pytest.raises(Refused) as refused:
        uris.normalise(str(tmp_path / name))
    assert {one.strip() for one in sentences} == {f"tfcanary: {refused.value}"}
    assert sentence in str(refused.value)
    assert ledger.read(world.platform()).release is None


@pytest.mark.parametrize("kind", ["a line break", "bytes", "a loop", "a long name", "a file"])
def test_an_odd_path_is_refused_in_one_sentence(
    world: World, plan_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    model = tmp_path / {"a line break": "new\nline", "bytes": "\udcff", "a long name": "x" * 300}.get(kind, "model")
    if kind == "a loop":
        model.symlink_to(model)
    elif kind == "a file":
        model.write_text("no model")
    elif kind != "a long name":
        shutil.copytree(family() / "good", model)
    for arguments in submitters(model, plan_file)[:2]:
        assert run(*arguments) == 2
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 1, said
        assert "Traceback" not in said
    assert ledger.read(world.platform()).release is None


@pytest.mark.parametrize("name", ["with space", 'it\'s "quoted"', "Größe-名前", "100%25", "a;b&c"])
def test_an_odd_name_of_a_model_is_only_a_name(tmp_path: Path, name: str) -> None:
    shutil.copytree(family() / "good", tmp_path / name)
    assert manifest(steps.fetch(steps.candidate_uri(tmp_path / name))) == manifest(family() / "good")


def test_no_stable_version_and_no_bootstrap_is_bad_input(world: World, plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world.records.stored = None
    assert release(family() / "good", plan_file) == 2
    assert "set `bootstrap: true` in the plan" in capsys.readouterr().err


def test_another_release_on_the_road_is_refused_by_name(
    world: World, plan: Plan, plan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    assert release(family() / "good", plan_file) == 3
    assert "release 'run-1' is active" in capsys.readouterr().err


def test_an_unknown_verb_or_option_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("relaese") == 2
    assert run("status", "--jsno") == 2
    assert "--json" in capsys.readouterr().err


def test_status_says_how_the_release_stands(world: World, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    assert run("status", "digits", "--platform", "fake://", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["decision"], said["release"]["run_id"], said["stable"]["number"]) == ("open", "run-1", 1)


def test_status_of_a_name_that_was_never_released_is_bad_input(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "digits", "--platform", "fake://") == 2
    assert "nothing was ever released under this name" in capsys.readouterr().err


def test_abort_rolls_back_and_may_be_repeated(world: World, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    for _ in range(2):
        assert run("abort", "digits", "--platform", "fake://", "--reason", "the page went off") == 0
        assert "the page went off" in capsys.readouterr().err
    assert ledger.read_release(world.platform(), "run-1").state is State.ROLLED_BACK


@pytest.mark.parametrize("verb", ["abort", "repair", "pause", "resume", "approve", "reject", "status", "history", "report", "replay"])
def test_a_misspelt_name_is_bad_input_for_every_verb_and_the_nearest_is_named(
    world: World, plan: Plan, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "models", lambda uri, patience=0.0: ("digits", "faces"))
    assert run(verb, "digist", "--platform", "fake://") == 2
    said = capsys.readouterr()
    assert said.err == "tfcanary: digist: nothing was ever released under this name on fake://; did you mean 'digits'?\n"
    assert said.out == ""


def test_the_exit_step_of_a_run_without_a_record_ends_well(world: World) -> None:
    assert rollback.roll_back(world.platform(), "run-1") is None


def test_history_lists_ended_releases(world: World, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        traced = replace(plan, commit=f"c{number}", training_run=f"t{number}")
        ledger.begin(world.platform(), traced, f"run-{number}", model_uri=f"gs://exports/{number}")
        rollback.roll_back(world.platform(), f"run-{number}", f"reason {number}")
    assert run("history", "digits", "--platform", "fake://", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["history"]
    assert [line["reason"] for line in listed] == ["reason 1", "reason 2"]
    assert [line["export"]["uri"] for line in listed] == ["gs://exports/1", "gs://exports/2"]
    assert [line.get("version") for line in listed] == [None, None], "a candidate that was never pushed has no number"
    assert run("status", "digits", "--platform", "fake://", "--json") == 0
    export = json.loads(capsys.readouterr().out)["release"]["export"]
    assert (export["uri"], export["commit"], export["training_run"]) == ("gs://exports/2", "c2", "t2")
    assert run("history", "digits", "--platform", "fake://") == 0
    assert "gs://exports/1" in capsys.readouterr().out


def test_the_history_has_a_page_and_times_say_their_zone(
    world: World, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    ledger.begin(world.platform(), plan, "run-1")
    rollback.roll_back(world.platform(), "run-1", "reason <1>")
    assert run("history", "digits", "--platform", "fake://", "--html", tmp_path / "history.html") == 0
    page = (tmp_path / "history.html").read_text()
    assert "reason &lt;1&gt;" in page
    assert f"{world.clock.now():%Y-%m-%d %H:%M:%S} UTC" in page
    capsys.readouterr()
    assert run("history", "digits", "--platform", "fake://") == 0
    assert "began (UTC)" in capsys.readouterr().out
    monkeypatch.setattr(adapters, "models", lambda uri: ("digits",))
    assert run("status", "--platform", "fake://") == 0
    assert "since (UTC)" in capsys.readouterr().out


def test_status_counts_the_canary_requests_of_all_stages_as_the_page_does(
    world: World, plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bucket does not answer, the state is printed all the same."""
    record, timeline = samples.rolled_back()
    assert record.release
    assert world.records.stored
    world.records.stored = replace(world.records.stored, record=record)
    kept = Checkpoint("", timeline, Verdict(Decision.ROLLBACK, "said"))
    monkeypatch.setattr(steps, "read_checkpoint", lambda step: kept)
    assert run("status", "digits", "--platform", "fake://") == 0
    said = capsys.readouterr().out
    assert "canary requests: 1,730" in said
    assert "1,720 requests" not in said

    def away(step: object) -> None:
        raise Unavailable("the bucket is away")

    monkeypatch.setattr(steps, "read_checkpoint", away)
    assert run("status", "digits", "--platform", "fake://") == 0
    answer = capsys.readouterr()
    assert "rolled back at stage 2" in answer.out
    assert "canary requests: unknown (the bucket is away)" in answer.err


def test_report_writes_a_page(world: World, plan: Plan, tmp_path: Path) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    rollback.roll_back(world.platform(), "run-1", "the <page> went off")
    assert run("report", "digits", "--platform", "fake://", "--html", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    assert "the &lt;page&gt; went off" in page


def ended(state: State, about: str) -> Release:
    """As the judge ended it: by a criterion, by all of them together, or by the clock."""
    evidence = (Evidence(about, Finding.INCONCLUSIVE, "said"),)
    release = codec.decode(Release, {"run_id": "r", "plan": {}, "plan_digest": "", "began": "2026-01-31T12:00:00+00:00"})
    return replace(release, state=state, watched=(Verdict(Decision.ROLLBACK, "said", evidence),))


@pytest.mark.parametrize(
    ("release", "code"),
    [
        (ended(State.PROMOTED, "metrics/errors"), 0),
        (ended(State.ROLLED_BACK, "metrics/errors"), 1),
        (ended(State.ROLLED_BACK, UNDECIDED), 3),  # undecided: nobody found it bad
    ],
)
def test_the_exit_code_tells_bad_from_undecided(release: Release, code: int) -> None:
    assert exit_code(release) == code


def test_the_doctor_says_what_to_do_for_each_thing_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("doctor", "--platform", f"local://{tmp_path}/state", "--json") in (0, 1)
    ready = json.loads(capsys.readouterr().out)
    assert {c["about"]: c["finding"] for c in ready["checks"]}["doctor/envoy"] == "pass"
    assert any("`tfcanary up`" in reason for reason in ready["reasons"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("doctor", "--platform", f"local://{tmp_path}/state", "--json") == 1
    broken = json.loads(capsys.readouterr().out)
    assert broken["finding"] == "fail"
    assert all("pip install 'tfcanary[local]'" in reason for reason in broken["reasons"][:2])


@pytest.mark.parametrize("verb", ["up", "down"])
def test_only_a_local_platform_can_be_started_and_stopped(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--platform", "kube://serving") == 2
    assert "local:///<state folder>" in capsys.readouterr().err


def test_the_plan_of_the_examples_is_a_plan() -> None:
    for path in (Path("examples/plan.yaml"), Path("examples/office_hours.yaml"), Path("tfcanary/cli/demo/plan.yaml")):
        assert codec.decode(Plan, read_document(path)).weights


def test_people_pause_and_resume_a_release_and_its_status_says_so(world: World, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    ledger.change(world.platform(), "run-1", lambda r: replace(r, state=State.WATCHED))
    assert run("pause", "digits", "--reason", "lunch") == 0
    assert ": lunch" in capsys.readouterr().err
    assert run("status", "digits") == 0
    assert re.search(r"A person paused it, since .* UTC: lunch", capsys.readouterr().out)
    assert run("pause", "digits") == 2
    assert "tfcanary resume digits" in capsys.readouterr().err
    assert run("resume", "digits", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["decision"], len(said["reasons"])) == ("watched", 1)
    assert run("approve", "digits") == run("reject", "digits") == 2


def test_status_of_a_model_whose_first_candidate_waits_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = Waiting("0" * 16, "gs://exports/digits/1", world.clock.now())
    ledger.update(world.platform(), lambda record: replace(record, waiting=(candidate,)))
    assert run("status", "digits") == 0
    assert "waits for its turn: gs://exports/digits/1" in capsys.readouterr().out
    assert run("report", "digits") == 2
