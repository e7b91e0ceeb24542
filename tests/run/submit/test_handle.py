"""A release from Python: what `tfcanary.release` takes, and what its handle shows, on a record in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import tfcanary
from tests.act.conftest import end_as
from tests.cli.test_cli import run
from tests.conftest import QUICK
from tests.fakes import World, weighing
from tests.report import samples
from tests.report.reading import browser
from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.adapters.kube.pod_patch import Claim
from tfcanary.core import codec
from tfcanary.core.domain import Decision
from tfcanary.core.errors import Held, Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import Beat, Holder, Judged, Record, Release, State
from tfcanary.run.submit import PLACEHOLDER, Submission, handle, package, snapshots
from tfcanary.run.submit.handle import Handle, read_plan
from tfcanary.run.submit.local_run import LocalRun
from tfcanary.run.submit.progress import notebook_bundle

HOSTILE = "<script>alert(1)</script>\"'[red]"


@dataclass
class Ran:
    """A pipeline that has ended, or goes on where `succeeded` is None."""

    succeeded: bool | None = True

    def result(self) -> bool | None:
        return self.succeeded

    def stop(self) -> None:
        """Nothing runs."""

    def describe(self) -> str:
        return "runs/1/pipeline.log"

    def failure(self) -> str:
        return ""


def of(world: World, record: Record, run: Ran | None = None) -> Handle:
    """The handle of the record's release."""
    assert world.records.stored
    world.records.stored = replace(world.records.stored, record=record)
    assert record.release
    return Handle(world.platform(), Plan(), run or Ran(), False, record.release.run_id)


def promoted_record(change: Callable[[Release], Release]) -> Record:
    """The promoted release of the samples, changed; nothing lies in the bucket for it."""
    record, _ = samples.promoted()
    assert record.release
    return replace(record, release=change(replace(record.release, judged=None)))


@pytest.fixture
def promoted(world: World) -> Handle:
    return of(world, promoted_record(lambda r: r))


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, tfcanary; assert 'release' in tfcanary.__all__; print([m for m in sys.modules if m.startswith('tfcanary.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_package_has_the_function_that_the_command_line_calls() -> None:
    from tfcanary.cli import release as verb

    assert tfcanary.release is handle.release is vars(verb)["submit_release"]
    with pytest.raises(AttributeError, match="no attribute 'relaese'"):
        _ = tfcanary.relaese  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "given", [lambda f: codec.decode(Plan, QUICK), lambda f: QUICK, lambda f: f, str], ids=["plan", "mapping", "path", "text"]
)
def test_a_plan_is_a_plan_a_mapping_or_a_file(tmp_path: Path, given: Callable[[Path], Any]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(codec.dumps(QUICK))
    assert read_plan(given(file)) == codec.decode(Plan, QUICK) != Plan()


def test_a_wrong_plan_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"plan\.stage.*did you mean 'poll'"):
        read_plan({"stage": {"pol": "1s"}})
    (tmp_path / "mine.yaml").write_text("weights: [50, 5]")
    with pytest.raises(Refused, match=r"mine\.yaml: weights \[50, 5\]: must not fall"):
        read_plan(tmp_path / "mine.yaml")


def test_what_is_submitted_is_what_was_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    monkeypatch.setenv("TFCANARY_PLATFORM", "local:///srv/mine")
    made = tfcanary.release("gs://exports/digits/7", "digits", {"weights": [5]}, host="https://kfp.example", image="example/tfcanary:1")
    (job,) = submitted
    assert (job.pipeline, job.host, job.image) == ("canary_release", "https://kfp.example", "example/tfcanary:1")
    assert job.arguments == {
        "model_uri": "gs://exports/digits/7",
        "model_name": "digits",
        "platform": "local:///srv/mine",
        "plan": {"weights": [5]},
        "release_id": made.run_id,
    }
    assert (made.remote, made.plan.weights, made.verdict) == (True, (5,), None)
    assert repr(made) == "<release of digits: runs/1/pipeline.log>"


def test_a_submission_names_its_commit_and_training_run_in_place_of_the_plans(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    mine = {"weights": [5], "commit": "old", "training_run": "mine"}
    tfcanary.release("gs://exports/digits/7", "digits", mine, "fake://", commit="9c1f2e7")
    assert submitted[0].arguments["plan"] == {"weights": [5], "commit": "9c1f2e7", "training_run": "mine"}
    with pytest.raises(Refused, match=r"plan\.commit: .*Argo and Kubernetes would expand"):
        tfcanary.release("gs://exports/digits/7", "digits", mine, "fake://", commit="{{workflow.name}}")


@pytest.mark.parametrize(("memory_mib", "limit"), [(32_768, 33_792), (512, 2_048)])
def test_validation_gets_the_memory_that_the_plan_gives_the_models(
    monkeypatch: pytest.MonkeyPatch, world: World, memory_mib: int, limit: int
) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    tfcanary.release(
        "gs://exports/digits/7",
        "digits",
        {"validation": {"memory_mib": memory_mib}},
        host="https://kfp.example",
        image="example/tfcanary:1",
    )
    assert submitted[0].memory == {"validate_savedmodel": limit}


def test_steps_get_the_volume_on_which_the_bucket_lies(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    mount = {"name": "models", "mountPath": "/srv", "subPath": "team", "readOnly": True}
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    patch = {"spec": {"volumes": [volume], "containers": [{"name": "server", "volumeMounts": [mount]}]}}
    for bucket, claim in (("/srv/models", Claim("models", "/srv", "team")), ("s3://bucket/models", None)):
        plan = {"bucket": {"canary": bucket}, "serving": {"pod_patch": patch}}
        tfcanary.release("gs://exports/digits/7", "digits", plan, host="https://kfp.example", image="example/tfcanary:1")
        assert submitted[-1].claim == claim


def test_a_host_needs_an_image_that_it_can_pull_and_is_asked_nothing_without_one(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    before = world.records.stored
    (tmp_path / "plan.yaml").write_text(codec.dumps(QUICK))
    given = ["gs://exports/digits/7", "--name", "digits", "--plan", tmp_path / "plan.yaml", "--host", "https://kfp.example"]
    assert run("release", *given) == 2
    assert re.fullmatch(r".*image \(--image\): is missing, .*name the image that your cluster pulls\n", capsys.readouterr().err)
    assert (submitted, world.records.stored) == ([], before)
    monkeypatch.setattr("tfcanary.run.submit.package", lambda name: package(name).replace(PLACEHOLDER, "example/tfcanary:1"))
    tfcanary.release("gs://exports/digits/7", "digits", QUICK, host="https://kfp.example")
    assert [job.image for job in submitted] == [""], "a package that was compiled for an image has it already"


def large(bytes_: int) -> dict[str, Any]:
    """A plan with one large part."""
    return {"serving": {"pod_patch": {"metadata": {"annotations": {"note": "x" * bytes_}}}}}


def test_a_plan_that_kubeflow_would_not_take_is_refused_by_its_name_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    submitted: list[Submission] = []
    monkeypatch.setattr(handle, "start", lambda job: submitted.append(job) or Ran())
    monkeypatch.setattr(adapters, "open_platform", lambda uri, name, plan: world.platform(name))
    before = world.records.stored
    sentence = r"plan: has 10,\d+ bytes, .* takes 10,000 at most; its largest part is `serving` with 10,\d+$"
    with pytest.raises(Refused, match=sentence):
        tfcanary.release("gs://exports/digits/7", "digits", large(10_000), host="https://kfp.example", image="example/tfcanary:1")
    assert (submitted, world.records.stored) == ([], before)
    tfcanary.release("gs://exports/digits/7", "digits", large(9_700), host="https://kfp.example", image="example/tfcanary:1")
    tfcanary.release("gs://exports/digits/7", "digits", large(10_000))
    assert len(submitted) == 2, "on this machine nothing limits it"


def test_the_verdict_is_the_one_that_the_end_rests_on(world: World, promoted: Handle) -> None:
    assert promoted.verdict
    assert (promoted.verdict.decision, promoted.verdict.stage) == (Decision.PROMOTE, 2)
    refused, _ = samples.refused_by_validation()
    assert of(world, refused).verdict is None, "a gate refused it; the judge was never asked"


def test_a_release_that_has_not_begun_says_so(world: World) -> None:
    fresh = Handle(world.platform(), Plan(), Ran(), False, "")
    assert fresh.verdict is None
    assert fresh._repr_markdown_() == "digits: the release has not begun yet; see runs/1/pipeline.log"
    assert "has not begun yet" in fresh._repr_html_()
    with pytest.raises(Unavailable, match=r"digits: the release has not begun yet; see runs/1/pipeline\.log"):
        _ = fresh.report


def test_the_report_is_kept_as_a_page_or_as_markdown(promoted: Handle, tmp_path: Path) -> None:
    page = promoted.report
    assert page.save(tmp_path / "report.html").read_text() == page.html
    assert page.save(str(tmp_path / "report.md")).read_text() == page.markdown
    assert page.html.startswith("<!DOCTYPE html>")
    assert page.markdown.startswith("# Promoted\n")


def test_a_page_is_framed_so_that_nothing_in_it_runs_and_no_style_leaves_it(promoted: Handle) -> None:
    for shown in (promoted.report._repr_html_(), promoted._repr_html_()):
        seen = browser(shown)
        assert seen.tags == ["iframe"], "one element, and the whole page is inside its attribute"
        attributes = dict(seen.attributes)
        assert attributes["sandbox"] == ""
        assert attributes["srcdoc"].startswith("<!DOCTYPE html>")
        assert "Promoted" in attributes["srcdoc"]


def test_a_handle_shows_state_stage_weight_and_why_and_no_more(world: World) -> None:
    watched = of(world, promoted_record(lambda r: weighing(replace(r, state=State.WATCHED, stage=1, reason="", ended=None), 25)))
    head = watched._repr_markdown_()
    assert head.startswith("# Watched at stage 1 (25 %)")
    assert "The canary has 25 % of the traffic and is being watched." in head
    assert "## " not in head


def test_what_a_model_says_is_text_in_a_notebook(world: World) -> None:
    record = promoted_record(lambda r: replace(r, reason=HOSTILE))
    hostile = of(world, replace(record, model=HOSTILE))
    for shown in (hostile._repr_html_(), hostile.report._repr_html_()):
        assert browser(shown).tags == ["iframe"]
        assert "script" not in browser(dict(browser(shown).attributes)["srcdoc"]).tags
    seen = hostile.snapshot()
    assert seen
    shown = notebook_bundle(seen, world.clock.now())
    assert set(browser(shown["text/html"]).tags) <= {"pre", "span"}
    assert HOSTILE in shown["text/plain"], "and is shown letter by letter"


@dataclass
class Away(Ran):
    """A host that does not answer the first times."""

    lost: int = 0

    def result(self) -> bool | None:
        self.lost -= 1
        if self.lost >= 0:
            raise Unavailable("KFP at https://kfp.example cannot be reached: timed out")
        return self.succeeded


def test_a_host_that_is_away_for_minutes_ends_no_waiting_and_is_told_once(
    world: World, promoted: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    there = replace(promoted, run=Away(lost=40), remote=True)
    assert there.wait(progress=False).state is State.PROMOTED
    assert caplog.text.count("KFP at https://kfp.example cannot be reached: timed out; the release goes on") == 1


@pytest.mark.parametrize(("lost", "remote"), [(1_000, True), (1, False)])
def test_a_host_that_stays_away_and_a_machine_that_is_gone_end_the_waiting(world: World, promoted: Handle, lost: int, remote: bool) -> None:
    gone = replace(promoted, run=Away(lost=lost), remote=remote)
    with pytest.raises(Unavailable, match="timed out"):
        gone.wait(progress=False)


def test_waiting_tells_each_event_once_and_that_a_step_failed(
    world: World, promoted: Handle, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert promoted.wait().state is State.PROMOTED
    lines = capsys.readouterr().err.splitlines()
    release = ledger.read(world.platform()).release
    assert release
    assert len(lines) == len(release.events)
    assert lines[-1].startswith("12:33:00 UTC digits at 100 %: promoted: every criterion passed")
    assert not caplog.messages
    failed = of(world, promoted_record(lambda r: r), Ran(succeeded=False))
    assert failed.wait(progress=False).state is State.PROMOTED
    assert capsys.readouterr().err == ""
    assert caplog.messages == ["a step of the pipeline failed: see runs/1/pipeline.log"]


def unfinished(world: World, succeeded: bool | None = False, **change: Any) -> Handle:
    """A release that is still watched; its pipeline has ended, or goes on where `succeeded` is None."""
    now = world.clock.now()
    holder = Holder("run-0001: watch", "a1", 1, timedelta(seconds=60), now + timedelta(seconds=60), watching=True)
    fields = {"state": State.WATCHED, "ended": None, "began": now, "holder": holder, "beat": None} | change
    return of(world, promoted_record(lambda r: replace(r, **fields)), Ran(succeeded))


def ends_after(world: World, seconds: float) -> None:
    """The guard ends the release after so many seconds."""
    until = world.clock.now() + timedelta(seconds=seconds)

    def tick(_: float) -> None:
        release = ledger.read(world.platform()).release
        assert release
        if world.clock.now() >= until and not release.state.ended:
            end_as(world.platform(), release.run_id, State.ROLLED_BACK, "nobody renewed the hold")

    world.clock.on_sleep.append(tick)


def test_a_release_is_followed_to_its_own_end_and_not_to_its_pipelines(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Terminated in Kubeflow's pages, a pipeline is gone at once; its guard takes the weight to 0 a minute later."""
    terminated = unfinished(world)
    ends_after(world, 75)
    ended = terminated.wait(progress=False)
    assert (ended.state, ended.reason) == (State.ROLLED_BACK, "nobody renewed the hold")
    assert caplog.messages == [
        "the pipeline has ended before its release, which its guard ends: see runs/1/pipeline.log",
        "a step of the pipeline failed: see runs/1/pipeline.log",
    ]


def test_a_release_that_nobody_is_left_to_end_is_not_followed_for_ever(world: World) -> None:
    abandoned, began = unfinished(world), world.clock.now()
    with pytest.raises(Unavailable, match="nobody ends its release: tfcanary abort digits"):
        abandoned.wait(progress=False)
    assert timedelta(seconds=60 + handle.PATIENCE) <= world.clock.now() - began < timedelta(seconds=70 + handle.PATIENCE)


def test_a_guard_that_beats_is_waited_for(world: World) -> None:
    guarded = unfinished(world)

    def beat(_: float) -> None:
        stored = world.records.stored
        assert stored
        assert stored.record.release
        seen = replace(stored.record.release, beat=Beat(1, 1, world.clock.now()))
        world.records.stored = replace(stored, record=replace(stored.record, release=seen))

    world.clock.on_sleep.append(beat)
    ends_after(world, 3 * handle.PATIENCE)
    assert guarded.wait(progress=False).state is State.ROLLED_BACK


def test_a_state_of_the_judge_that_is_missing_is_read_again_and_ends_no_following(world: World) -> None:
    """A listing is no instant: between two polls it may name neither the state that was removed nor its successor."""
    followed = unfinished(world, succeeded=None, judged=Judged("digits/releases/run-0001/00000036.json", 1))
    ends_after(world, 10)
    assert followed.wait(progress=False).state is State.ROLLED_BACK
    reads = world.records.reads
    assert followed.snapshot() is not None
    assert world.records.reads - reads == snapshots.TRIES, "the record may name another state meanwhile"


def test_a_pipeline_that_hangs_after_the_end_of_its_release_is_not_waited_for(world: World) -> None:
    hanging, began = unfinished(world, succeeded=None), world.clock.now()
    ends_after(world, 10)
    assert hanging.wait(progress=False).state is State.ROLLED_BACK
    assert world.clock.now() - began <= timedelta(seconds=10 + 2) + handle.CLOSING


def test_a_pipeline_that_ended_before_the_release_began_is_no_release(world: World) -> None:
    with pytest.raises(Unavailable, match=r"ended before the release began: see runs/1/pipeline\.log"):
        Handle(world.platform(), Plan(), Ran(), False, "").wait(progress=False)


def test_a_run_that_was_refused_is_told_with_the_refusal(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    with pytest.raises(Held) as refused:
        ledger.begin(world.platform(), plan, "run-2")
    ledger.failed(world.platform(), "run-2", refused.value)
    said = "ended before the release began: digits: release 'run-1' is active .*; see runs/1/pipeline.log"
    with pytest.raises(Unavailable, match=said):
        Handle(world.platform(), Plan(), Ran(False), False, "run-2").wait(progress=False)
    assert ledger.read_release(world.platform(), "run-1").failure == "", "the other release has nothing to do with it"


LOGGED = """
    Traceback (most recent call last):
      File "step.py", line 9, in validate
        raise Refused("plan.weigths: unknown key")
    {said}


12:00:01.1 - ERROR - Task 'validate-savedmodel' finished with status \x1b[91mFAILURE\x1b[0m
    ValueError: what the exit step said
RuntimeError: Pipeline 'canary-release' finished with status \x1b[91mFAILURE\x1b[0m.
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tfcanary.core.errors.Refused: plan.weigths: unknown key", "plan.weigths: unknown key"),
        ("ValueError: a fault of somebody's", "ValueError: a fault of somebody's"),
        ("MemoryError", "MemoryError"),
        ("Killed", ""),
    ],
)
def test_a_local_run_tells_what_its_first_failed_step_said(tmp_path: Path, line: str, said: str) -> None:
    log = tmp_path / "pipeline.log"
    log.write_text(LOGGED.format(said=line))
    ended = subprocess.Popen([sys.executable, "-c", ""], text=True)
    ended.wait()
    assert LocalRun(ended, log).failure() == said
