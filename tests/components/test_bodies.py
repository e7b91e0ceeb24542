"""Every component's body, called as the function that it is, on ports in memory and a real SavedModel."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from components.compare_predictions.component import compare_predictions
from components.deploy_canary.component import deploy_canary
from components.evaluate_drift.component import evaluate_drift
from components.evaluate_metrics.component import evaluate_metrics
from components.evaluate_quality.component import evaluate_quality
from components.guard_release.component import guard_release
from components.judge_canary.component import judge_canary
from components.profile_data.component import profile_data
from components.promote_canary.component import promote_canary
from components.push_model.component import push_model
from components.rollback_canary.component import rollback_canary
from components.shift_traffic.component import shift_traffic
from components.validate_savedmodel.component import validate_savedmodel
from components.watch_stage.component import watch_stage
from tests.conftest import QUICK
from tests.fakes import World
from tests.process import Behaviour
from tests.savedmodel.family import family
from tfcanary import __version__, platforms, steps
from tfcanary.acts import ledger, shift
from tfcanary.errors import Held, Refused, Unavailable
from tfcanary.record import State

RELEASE: dict[str, Any] = {"model_name": "digits", "platform": "fake://", "plan": QUICK, "run_id": "run-1"}
OWNER = {key: RELEASE[key] for key in ("model_name", "platform", "run_id")}


@dataclass
class Output:
    """An output artifact, as KFP hands it to a body."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(Path(self.path).read_text())


@pytest.fixture
def outputs(tmp_path: Path) -> Callable[..., dict[str, Output]]:
    """Output artifacts by name, in folders that do not exist yet."""
    count = iter(range(1000))

    def made(*names: str) -> dict[str, Output]:
        step = tmp_path / f"step-{next(count)}"
        return {name: Output(str(step / name)) for name in names}

    return made


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(platforms, "open_platform", lambda uri, model, plan: world.platform(model))


LOOK = ("evidence", "report", "summary")
MEASURED = (*LOOK, "metrics")
VERDICT = ("verdict", "report", "summary", "metrics")
ENDED = ("report", "summary", "metrics")
MODEL = "good"
MIRRORED = {"inference.request": {"instances": [[1.0]]}, "inference.response": {"predictions": [[0.9, 0.1]]}}


def judge(stage: int, watched: Output, outputs: Callable[..., dict[str, Output]], judged: dict[str, Output] | None = None) -> str:
    """Drift and verdict of a stage that was watched."""
    drift = outputs(*MEASURED)
    evaluate_drift.python_func(stage=stage, watched=watched, **RELEASE, **drift)
    said: str = judge_canary.python_func(stage=stage, watched=watched, drift=drift["evidence"], **RELEASE, **(judged or outputs(*VERDICT)))
    return said


@pytest.fixture
def pushed(world: World, outputs: Callable[..., dict[str, Output]]) -> int:
    """The candidate lies in the bucket."""
    ledger.begin(world.platform(), _plan(), "run-1")
    from tfcanary import savedmodel

    model = family() / MODEL
    number: int = push_model.python_func(model_uri=str(model), digest=savedmodel.manifest(model).digest, **RELEASE)
    return number


def _plan() -> Any:
    from tfcanary import codec
    from tfcanary.plan import Plan

    return codec.decode(Plan, QUICK)


@pytest.fixture
def deployed(world: World, pushed: int, outputs: Callable[..., dict[str, Output]]) -> int:
    """The candidate runs at weight 0."""
    world.behaviours[pushed] = Behaviour(answer=0.5)
    assert deploy_canary.python_func(version=pushed, **RELEASE, **outputs(*LOOK)) == "pass"
    return pushed


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


def test_bytes_that_were_not_validated_are_not_pushed(world: World) -> None:
    ledger.begin(world.platform(), _plan(), "run-1")
    with pytest.raises(Refused, match="validated was sha256:0"):
        push_model.python_func(model_uri=str(family() / MODEL), digest="sha256:0", **RELEASE)
    assert world.storage.list("digits/2/") == ()


def test_a_release_goes_from_weight_zero_to_stable(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    compared = outputs(*MEASURED)
    assert compare_predictions.python_func(**RELEASE, **compared) == "pass"
    assert compared["evidence"].json()["absent"] == [{"about": "predictions", "reason": "absent by plan"}]
    words = []
    for stage in (0, 1):
        watched, judged = outputs(*LOOK), outputs(*VERDICT)
        watch_stage.python_func(stage=stage, **RELEASE, **watched)
        words.append(judge(stage, watched["evidence"], outputs, judged))
    assert words == ["advance", "promote"]
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
    world.processes[deployed].behaviour = Behaviour(answer=0.5, errors=0.3)
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
    candidate = ledger.ours(ledger.read(world.platform()), "run-1").candidate
    assert candidate is not None
    assert (said["version"], said["model_digest"], said["run_id"]) == (str(deployed), candidate.digest, "run-1")
    assert said["plan_digest"].startswith("sha256:")
    assert said["tfcanary_version"] == __version__


def test_the_exit_step_rolls_back_what_nobody_ended(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    ledger.hold(world.platform(), "run-1", "watch", watching=True)
    shift.shift(world.platform(), "run-1", 0)
    assert guard_release.python_func(**OWNER, **outputs(*ENDED)) == "rolled back"
    assert world.weight == 0


def test_the_exit_step_of_a_run_that_was_refused_leaves_the_other_release_alone(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    with pytest.raises(Held):
        ledger.begin(world.platform(), _plan(), "run-2")
    assert guard_release.python_func(**{**OWNER, "run_id": "run-2"}, **outputs(*ENDED)) == "none"
    assert ledger.ours(ledger.read(world.platform()), "run-1").state is State.WATCHED


def test_finished_steps_that_run_again_return_what_was_recorded_and_move_nothing(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    """The backend does run whole sub-graphs again after an infrastructure error."""
    from tfcanary import savedmodel

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


def test_a_look_at_the_metrics_moves_nothing_and_records_nothing(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    assert shift_traffic.python_func(weight=50, **RELEASE) == 50
    world.processes[deployed].behaviour = Behaviour(answer=0.5, errors=0.3)
    weights = list(world.weights)
    look = {"model_name": "digits", "platform": "fake://", "plan": QUICK}
    found = outputs(*MEASURED)
    assert evaluate_metrics.python_func(**look, seconds=60, **found) == "fail"
    assert found["metrics"].metadata["metrics/outage"] > 1
    assert world.weights == weights
    assert list(ledger.ours(ledger.read(world.platform()), "run-1").looks) == ["deploy"]


def test_ended_runs_compare_by_the_same_rows(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    world.processes[deployed].behaviour = Behaviour(answer=0.5, errors=0.3)
    watch_stage.python_func(stage=0, **RELEASE, **outputs(*LOOK))
    ended, other = outputs(*ENDED), outputs(*ENDED)
    guard_release.python_func(**OWNER, **ended)
    said = ended["metrics"].metadata
    assert (said["outcome"], said["metrics/errors"] > 1) == ("rolled back", True)
    assert 0 < said["canary requests"] < 10_000
    assert 0 < said["seconds with traffic"] <= said["seconds to the end"]
    guard_release.python_func(**{**OWNER, "run_id": "run-2"}, **other)
    assert other["metrics"].metadata == {"outcome": "none"}, "a run that never had the release"


def test_an_estimate_that_is_no_number_is_left_out() -> None:
    """KFP keeps metrics as JSON, which has neither NaN nor infinities."""
    from tfcanary.domain import Evidence, Finding, Interval

    evidence = (
        Evidence("metrics/errors", Finding.INCONCLUSIVE, "nothing yet", interval=Interval(0.0, math.inf, math.inf)),
        Evidence("metrics/latency", Finding.PASS, "as quick", interval=Interval(0.9, 1.0, 1.1)),
        Evidence("guard/crash", Finding.PASS, "it answers", figures={"canary restarts": 0.0}),
    )
    assert steps.scalars(Finding.PASS, evidence) == {"outcome": "pass", "metrics/latency": 1.0}


def test_a_bucket_out_of_reach_costs_the_page_its_signatures_and_no_more(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the bucket does not answer")

    monkeypatch.setattr("tfcanary.steps.artifacts.graph_of", away)
    ended = outputs(*ENDED)
    assert guard_release.python_func(**OWNER, **ended) == "refused"
    assert "## Signature" not in Path(ended["summary"].path).read_text()


def test_a_weight_outside_the_stages_needs_a_live_guard_too(world: World, deployed: int) -> None:
    world.guard_reports = False
    world.clock.sleep(120)
    with pytest.raises(Refused, match="guard"):
        shift_traffic.python_func(weight=50, **RELEASE)
    assert world.weight == 0
    assert shift_traffic.python_func(weight=0, **RELEASE) == 0


def _logged(folder: Path, n: int, shift: float) -> None:
    """A track's answered requests as a folder of Parquet."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(n)
    x = rng.normal(shift, 1, n)
    answers = pa.array(np.where(rng.random(n) < 0.5, "cat", "dog"))
    folder.mkdir(parents=True)
    table = pa.table({"id": [f"{folder.name}-{i}" for i in range(n)], "input.x": x, "output.class": answers})
    pq.write_table(table, folder / "1.parquet")


def test_a_world_that_drifts_is_written_down_once_and_fails_nothing(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]], tmp_path: Path
) -> None:
    from tfcanary import codec
    from tfcanary.plan import Plan

    for track in ("stable", "canary"):
        _logged(tmp_path / "log" / track, 4_000, shift=0.6)
    _logged(tmp_path / "train", 5_000, shift=0.0)
    drift = {"source": str(tmp_path / "log"), "time": "all", "reference": str(tmp_path / "train"), "retrain": "train-digits"}
    asked = {**RELEASE, "plan": {**QUICK, "drift": drift}}
    ledger.change(world.platform(), "run-1", lambda r: replace(r, plan=codec.decode(Plan, asked["plan"])))
    watched, found = outputs(*LOOK), outputs(*MEASURED)
    watch_stage.python_func(stage=0, **asked, **watched)
    for _ in range(2):
        assert evaluate_drift.python_func(stage=0, watched=watched["evidence"], **asked, **found) == "pass"
    events = [e.what for e in ledger.ours(ledger.read(world.platform()), "run-1").events if e.what.startswith("the world has drifted")]
    assert len(events) == 1
    assert found["metrics"].metadata["outcome"] == "pass"
    assert found["metrics"].metadata["drift/world"] > 0.1, "how far the world has moved"
    assert found["metrics"].metadata["drift/inputs"] < 0.1
    assert "input.x" in events[0]
    assert events[0].endswith("train-digits is asked to retrain")


def test_shards_counted_apart_merge_to_the_bytes_of_one_pass(outputs: Callable[..., dict[str, Output]], tmp_path: Path) -> None:
    for day in range(4):
        _logged(tmp_path / "data" / f"day={day}", 500, shift=day / 10)
    whole, together = outputs("profile")["profile"], outputs("profile")["profile"]
    shards = [outputs("profile")["profile"] for _ in range(2)]
    for number, one in enumerate(shards):
        profile_data.python_func(data=str(tmp_path / "data"), profile=one, shard=number, shards=2)
    profile_data.python_func(data="", profile=together, merge=shards[::-1])
    profile_data.python_func(data=str(tmp_path / "data"), profile=whole)
    assert Path(together.path).read_bytes() == Path(whole.path).read_bytes()
    assert whole.metadata["rows"] == 2_000
    with pytest.raises(Refused, match="shard 2 of 2: must be from 0 to 1"):
        profile_data.python_func(data=str(tmp_path / "data"), profile=whole, shard=2, shards=2)


def test_labels_that_arrive_late_judge_the_recorded_answers(
    world: World, outputs: Callable[..., dict[str, Output]], tmp_path: Path
) -> None:
    for track in ("stable", "canary"):
        _logged(tmp_path / "log" / track, 3_000, shift=0)
    lines = (json.dumps({"id": f"{track}-{i}", "label": "cat"}) for track in ("stable", "canary") for i in range(3_000))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    look = {"model_name": "digits", "platform": "fake://"}
    assert evaluate_quality.python_func(**look, plan=QUICK, **outputs(*MEASURED)) == "pass"
    labelled = {"labels": str(tmp_path / "labels.jsonl"), "source": str(tmp_path / "log"), "margin": 0.1}
    plan = {**QUICK, "labelled": labelled, "drift": {"time": "all"}}
    found = outputs(*MEASURED)
    assert evaluate_quality.python_func(**look, plan=plan, **found) == "pass"
    assert -0.1 < found["metrics"].metadata["quality/accuracy"] < 0.1


def test_mirrored_requests_are_compared_and_nothing_is_sent(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]], tmp_path: Path
) -> None:
    for track in ("stable", "canary"):
        (tmp_path / "log" / track).mkdir(parents=True)
        both = ({"specversion": "1.0", "id": f"r{i}", "type": what, "data": said} for i in range(120) for what, said in MIRRORED.items())
        (tmp_path / "log" / track / "a.jsonl").write_text("\n".join(map(json.dumps, both)))
    before = world.clock.now()
    compared = outputs(*MEASURED)
    plan = {**QUICK, "predictions": {"source": str(tmp_path / "log"), "flips": 0.1}}
    assert compare_predictions.python_func(**{**RELEASE, "plan": plan}, **compared) == "pass"
    assert "requests have an answer of each track in the logs" in Path(compared["evidence"].path).read_text()
    assert world.clock.now() == before  # a request to a track takes time


def test_abort_needs_no_run_id(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    word = guard_release.python_func(**{**OWNER, "run_id": ""}, reason="a person was worried", **outputs(*ENDED))
    assert word == "rolled back"
    assert ledger.ours(ledger.read(world.platform()), "run-1").reason == "a person was worried"


def test_a_canary_that_does_not_come_up_closes_the_next_gate_with_its_reason(
    world: World, pushed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    world.behaviours[pushed] = Behaviour(loads=False)
    assert deploy_canary.python_func(version=pushed, **RELEASE, **outputs(*LOOK)) == "fail"
    assert compare_predictions.python_func(**RELEASE, **outputs(*MEASURED)) == "fail"
    assert guard_release.python_func(**OWNER, **outputs(*ENDED)) == "refused"
    assert "the load ended in an error" in ledger.ours(ledger.read(world.platform()), "run-1").reason


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
