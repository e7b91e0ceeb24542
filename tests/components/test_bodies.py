"""The bodies of a release's components, called as the functions that they are, on ports in memory and a real SavedModel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.compare_predictions.component import compare_predictions
from components.deploy_canary.component import deploy_canary
from components.evaluate_drift.component import evaluate_drift
from components.guard_release.component import guard_release
from components.judge_canary.component import judge_canary
from components.promote_canary.component import promote_canary
from components.push_model.component import push_model
from components.rollback_canary.component import rollback_canary
from components.shift_traffic.component import shift_traffic
from components.validate_savedmodel.component import validate_savedmodel
from components.watch_stage.component import watch_stage
from tests.act.conftest import held_by_the_dead
from tests.components.conftest import ENDED, LOOK, MEASURED, MODEL, OWNER, RELEASE, Output
from tests.conftest import QUICK
from tests.fakes import World
from tests.look.savedmodel.family import family
from tests.process import Behaviour
from tfcanary import __version__
from tfcanary.act import ledger
from tfcanary.core import codec
from tfcanary.core.domain import Pool
from tfcanary.core.errors import GaveUp, Held, Refused, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.record import State
from tfcanary.look import savedmodel

pytestmark = pytest.mark.usefixtures("opened")

VERDICT = ("verdict", "report", "summary", "metrics")


def judge(stage: int, watched: Output, outputs: Callable[..., dict[str, Output]], judged: dict[str, Output] | None = None) -> str:
    """Drift and verdict of a stage that was watched."""
    drift = outputs(*MEASURED)
    evaluate_drift.python_func(stage=stage, watch_verdict=watched, **RELEASE, **drift)
    said: str = judge_canary.python_func(
        stage=stage, watch_verdict=watched, drift=drift["evidence"], **RELEASE, **(judged or outputs(*VERDICT))
    )
    return said


def test_validation_refuses_by_a_verdict_and_opens_the_release(
    world: World, outputs: Callable[..., dict[str, Output]], tmp_path: Path
) -> None:
    out = outputs(*LOOK)
    world.records.stored = None
    world.has_stable()
    stable = ledger.read(world.platform()).stable
    assert stable is not None
    ledger.update(
        world.platform(), lambda r: type(r)(model="digits", writer=__version__, stable=type(stable)(1, str(family() / MODEL), "sha256:1"))
    )
    word = validate_savedmodel.python_func(model_uri=str(family() / "square"), digest=str(tmp_path / "digest"), **RELEASE, **out)
    assert word == "fail"
    assert (tmp_path / "digest").read_text().startswith("sha256:")
    assert out["evidence"].json()["about"] == "validate"
    assert out["evidence"].metadata["finding"] == "fail"
    page = Path(out["report"].path).read_text()
    assert "float32 [?,64]" in page, "stable's signature is on the page"
    assert "float32 [?,8,8]" in page, "and so is the candidate's"
    release = ledger.read(world.platform()).release
    assert release is not None
    assert release.looks["validate"].finding.value == "fail"
    assert (release.export.uri, release.export.digest) == (str(family() / "square"), (tmp_path / "digest").read_text())
    told = out["evidence"].metadata
    assert (told["model_uri"], told["model_digest"], told["version"]) == (release.export.uri, release.export.digest, "")


def test_bytes_that_were_not_validated_are_not_pushed(world: World, plan: Plan) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    with pytest.raises(Refused, match="validated was sha256:0"):
        push_model.python_func(model_uri=str(family() / MODEL), digest="sha256:0", **RELEASE)
    assert world.storage.list("digits/2/") == ()


def test_a_release_goes_from_weight_zero_to_stable(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    compared = outputs(*MEASURED)
    assert compare_predictions.python_func(**RELEASE, **compared) == "pass"
    assert compared["evidence"].json()["absent"] == [{"about": "predictions", "reason": "absent by plan"}]
    assert compared["metrics"].metadata["outcome"] == "absent", "what was not asked has not passed"
    assert compared["evidence"].metadata["finding"] == "absent"
    words = []
    for stage in (0, 1):
        watched, judged = outputs(*LOOK), outputs(*VERDICT)
        watch_stage.python_func(stage=stage, **RELEASE, **watched)
        words.append(judge(stage, watched["evidence"], outputs, judged))
    assert words == ["advance", "promote"]
    noted = [event.what for event in ledger.read_release(world.platform(), "run-1").events]
    assert {"compare: absent", "drift-0: absent", "drift-1: absent", "deploy: pass"} <= set(noted)
    assert judged["metrics"].metadata["metrics/errors"] > 0
    assert judged["metrics"].metadata["outcome"] == "promote"
    assert promote_canary.python_func(**RELEASE, **outputs("report", "summary")) == "promoted"
    world.storage.write("digits/1/saved_model.pb", family() / "square" / "saved_model.pb")
    ended = outputs(*ENDED)
    assert guard_release.python_func(**OWNER, **ended) == "promoted"
    page = Path(ended["summary"].path).read_text()
    assert "float32 [?,8,8]" in page, "what the version before declared"
    assert "/releases/run-1/0" in page, "where every poll lies"
    stable = ledger.read(world.platform()).stable
    assert stable is not None
    assert (stable.number, world.weight, world.unserved) == (deployed, 0, 0)


def test_a_bad_canary_goes_back_and_the_page_says_why_first(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    world.processes[Pool(deployed)].behaviour = Behaviour(answer=0.5, errors=0.3)
    watched, ended = outputs(*LOOK), outputs("report", "summary")
    assert watch_stage.python_func(stage=0, **RELEASE, **watched) == "rollback"
    assert world.weight == 0
    assert judge(0, watched["evidence"], outputs) == "rollback"
    assert rollback_canary.python_func(**RELEASE, **ended) == "rolled back"
    assert "rolled back" in Path(ended["summary"].path).read_text()[:400].lower()
    assert guard_release.python_func(**OWNER, **outputs(*ENDED)) == "rolled back"


def test_the_verdict_carries_where_it_comes_from(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    watched = outputs(*LOOK)
    watch_stage.python_func(stage=0, **RELEASE, **watched)
    said = watched["evidence"].metadata
    candidate = ledger.read_release(world.platform(), "run-1").candidate
    assert candidate is not None
    assert (said["version"], said["model_digest"], said["run_id"]) == (str(deployed), candidate.digest, "run-1")
    assert said["plan_digest"].startswith("sha256:")
    assert said["tfcanary_version"] == __version__


def test_a_cloned_run_shows_its_refusal_and_leaves_the_release_of_its_id_alone(
    world: World, plan: Plan, outputs: Callable[..., dict[str, Output]]
) -> None:
    ledger.begin(world.platform(), plan, "run-1", "kfp-1")
    with pytest.raises(Refused) as refused:
        ledger.begin(world.platform(), plan, "run-1", "kfp-2")
    ledger.failed(world.platform(), "run-1", refused.value, "kfp-2")
    assert ledger.read_release(world.platform(), "run-1").failure == ""
    ended = outputs(*ENDED)
    assert guard_release.python_func(**{**OWNER, "run_id": "kfp-2"}, release_id="run-1", **ended) == "none"
    page = Path(ended["summary"].path).read_text()
    assert page.startswith("# Refused before it began\n\n**This run began no release and changed nothing: release 'run-1' was begun by")
    assert ended["metrics"].metadata == {"outcome": "none"}
    assert ledger.read_release(world.platform(), "run-1").state is State.OPEN


def test_the_exit_step_rolls_back_what_nobody_ended(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    held_by_the_dead(world.platform(), "watch", 0)
    assert guard_release.python_func(**OWNER, **outputs(*ENDED)) == "rolled back"
    assert world.weight == 0


def test_the_exit_step_of_a_run_that_was_refused_leaves_the_other_release_alone(
    world: World, plan: Plan, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    with pytest.raises(Held):
        ledger.begin(world.platform(), plan, "run-2")
    refused = outputs(*ENDED)
    assert guard_release.python_func(**{**OWNER, "run_id": "run-2"}, **refused) == "none"
    summary, said = Path(refused["summary"].path).read_text(), refused["report"].metadata
    assert summary.startswith("# Refused before it began")
    assert "sha256:" not in summary, "no digest of the other release"
    assert (said["run_id"], said["version"], said["model_digest"], said["plan_digest"]) == ("run-2", "", "", "")
    assert ledger.read_release(world.platform(), "run-1").state is State.WATCHED


def test_finished_steps_that_run_again_return_what_was_recorded_and_move_nothing(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    """The backend does run whole sub-graphs again after an infrastructure error."""
    from tfcanary.look import savedmodel

    for stage in (0, 1):
        watched = outputs(*LOOK)
        watch_stage.python_func(stage=stage, **RELEASE, **watched)
        judge(stage, watched["evidence"], outputs)
    promote_canary.python_func(**RELEASE, **outputs("report", "summary"))
    before, moved = world.records.stored, list(world.weights)
    model = family() / MODEL
    assert push_model.python_func(model_uri=str(model), digest=savedmodel.manifest(model).digest, **RELEASE) == deployed
    assert deploy_canary.python_func(version=deployed, **RELEASE, **outputs(*LOOK)) == "pass"
    again = outputs(*LOOK)
    assert watch_stage.python_func(stage=1, **RELEASE, **again) == "promote"
    assert judge(1, again["evidence"], outputs) == "promote"
    assert promote_canary.python_func(**RELEASE, **outputs("report", "summary")) == "promoted"
    assert (world.records.stored, world.weights) == (before, moved)


def test_a_bucket_out_of_reach_costs_the_page_its_signatures_and_no_more(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the bucket does not answer")

    monkeypatch.setattr("tfcanary.run.steps.artifacts.graph_of", away)
    ended = outputs(*ENDED)
    assert guard_release.python_func(**OWNER, **ended) == "refused"
    assert "## Signature" not in Path(ended["summary"].path).read_text()


def test_a_weight_outside_the_stages_needs_a_live_guard_too(world: World, deployed: int) -> None:
    world.guard_reports = False
    world.clock.sleep(120)
    with pytest.raises(GaveUp, match="guard"):
        shift_traffic.python_func(weight=50, **RELEASE)
    assert world.weight == 0
    assert shift_traffic.python_func(weight=0, **RELEASE) == 0


def test_a_first_release_has_no_comparison_and_its_last_event_is_its_promotion(
    world: World, outputs: Callable[..., dict[str, Output]]
) -> None:
    world.records.stored = None
    first = {**RELEASE, "plan": {**QUICK, "bootstrap": True}}
    ledger.begin(world.platform(), codec.decode(Plan, first["plan"]), "run-1")
    model = family() / MODEL
    number = push_model.python_func(model_uri=str(model), digest=savedmodel.manifest(model).digest, **first)
    assert deploy_canary.python_func(version=number, **first, **outputs(*LOOK)) == "pass"
    compared = outputs(*MEASURED)
    assert compare_predictions.python_func(**first, **compared) == "promoted"
    reason = "first release: there is no stable version to compare with"
    assert compared["evidence"].json() == {"about": "compare", "evidence": [], "absent": [{"about": "predictions", "reason": reason}]}
    release = ledger.read_release(world.platform(), "run-1")
    assert "compare" not in release.looks
    assert release.events[-1].what.startswith("promoted")


def test_abort_needs_no_run_id(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    word = guard_release.python_func(**{**OWNER, "run_id": ""}, reason="a person was worried", **outputs(*ENDED))
    assert word == "rolled back"
    assert ledger.read_release(world.platform(), "run-1").reason == "a person was worried"


def test_a_canary_that_does_not_come_up_closes_the_next_gate_with_its_reason(
    world: World, pushed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    world.behaviours[pushed] = Behaviour(loads=False)
    assert deploy_canary.python_func(version=pushed, **RELEASE, **outputs(*LOOK)) == "fail"
    assert compare_predictions.python_func(**RELEASE, **outputs(*MEASURED)) == "fail"
    assert guard_release.python_func(**OWNER, **outputs(*ENDED)) == "refused"
    assert "the load ended in an error" in ledger.read_release(world.platform(), "run-1").reason


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ({"weights": [50, 5]}, "plan: weights [50, 5]: must not fall"),
        ({"wieghts": [5]}, "did you mean 'weights'"),
        ({"weights": [1, 2, 3, 4, 5, 6]}, "at most 5 fit"),
    ],
)
def test_a_wrong_plan_changes_nothing(
    world: World, outputs: Callable[..., dict[str, Output]], tmp_path: Path, plan: dict[str, Any], sentence: str
) -> None:
    before = world.records.stored
    with pytest.raises(Refused) as refused:
        validate_savedmodel.python_func(
            model_uri=str(family() / MODEL), digest=str(tmp_path / "digest"), **{**RELEASE, "plan": plan}, **outputs(*LOOK)
        )
    assert sentence in str(refused.value)
    assert world.records.stored == before
