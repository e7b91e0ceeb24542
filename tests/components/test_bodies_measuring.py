"""The bodies that measure: metrics, drift, profiles, late labels and mirrored requests, and the rows by which runs compare."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.compare_predictions.component import compare_predictions
from components.evaluate_drift.component import evaluate_drift
from components.evaluate_metrics.component import evaluate_metrics
from components.evaluate_quality.component import evaluate_quality
from components.guard_release.component import guard_release
from components.profile_data.component import profile_data
from components.shift_traffic.component import shift_traffic
from components.watch_stage.component import watch_stage
from tests.components.conftest import ENDED, LOOK, MEASURED, OWNER, RELEASE, Output
from tests.conftest import QUICK
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import ledger
from tfcanary.core.domain import Pool
from tfcanary.core.errors import Refused
from tfcanary.run import steps

pytestmark = pytest.mark.usefixtures("opened")

MIRRORED = {"inference.request": {"instances": [[1.0]]}, "inference.response": {"predictions": [[0.9, 0.1]]}}


def test_a_look_at_the_metrics_moves_nothing_and_records_nothing(
    world: World, deployed: int, outputs: Callable[..., dict[str, Output]]
) -> None:
    assert shift_traffic.python_func(weight=50, **RELEASE) == 50
    world.processes[Pool(deployed)].behaviour = Behaviour(answer=0.5, errors=0.3)
    weights = list(world.weights)
    look = {"model_name": "digits", "platform": "fake://", "plan": QUICK, "run_id": "look-1"}
    found = outputs(*MEASURED)
    assert evaluate_metrics.python_func(**look, seconds=60, **found) == "fail"
    assert found["metrics"].metadata["metrics/outage"] > 1
    assert world.weights == weights
    assert list(ledger.read_release(world.platform(), "run-1").looks) == ["deploy"]


def test_ended_runs_compare_by_the_same_rows(world: World, deployed: int, outputs: Callable[..., dict[str, Output]]) -> None:
    world.processes[Pool(deployed)].behaviour = Behaviour(answer=0.5, errors=0.3)
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
    from tfcanary.core.domain import Evidence, Finding, Interval

    evidence = (
        Evidence("metrics/errors", Finding.INCONCLUSIVE, "nothing yet", interval=Interval(0.0, math.inf, math.inf)),
        Evidence("metrics/latency", Finding.PASS, "as quick", interval=Interval(0.9, 1.0, 1.1)),
        Evidence("guard/crash", Finding.PASS, "it answers", figures={"canary restarts": 0.0}),
    )
    assert steps.metric_rows(Finding.PASS, evidence) == {"outcome": "pass", "metrics/latency": 1.0}


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
    from tfcanary.core import codec
    from tfcanary.core.plan import Plan

    for track in ("stable", "canary"):
        _logged(tmp_path / "log" / track, 4_000, shift=0.6)
    _logged(tmp_path / "train", 5_000, shift=0.0)
    drift = {"source": str(tmp_path / "log"), "time": "all", "reference": str(tmp_path / "train"), "retrain": "train-digits"}
    asked = {**RELEASE, "plan": {**QUICK, "drift": drift}}
    ledger.change(world.platform(), "run-1", lambda r: replace(r, plan=codec.decode(Plan, asked["plan"])))
    watched, found = outputs(*LOOK), outputs(*MEASURED)
    watch_stage.python_func(stage=0, **asked, **watched)
    for _ in range(2):
        assert evaluate_drift.python_func(stage=0, watch_verdict=watched["evidence"], **asked, **found) == "pass"
    events = [e.what for e in ledger.read_release(world.platform(), "run-1").events if e.what.startswith("the world has drifted")]
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
        profile_data.python_func(run_id="count-1", data=str(tmp_path / "data"), profile=one, shard=number, shards=2)
    profile_data.python_func(run_id="count-1", data="", profile=together, merge=shards[::-1])
    profile_data.python_func(run_id="count-1", data=str(tmp_path / "data"), profile=whole)
    assert Path(together.path).read_bytes() == Path(whole.path).read_bytes()
    assert whole.metadata["rows"] == 2_000
    with pytest.raises(Refused, match="shard 2 of 2: must be from 0 to 1"):
        profile_data.python_func(run_id="count-1", data=str(tmp_path / "data"), profile=whole, shard=2, shards=2)


def test_labels_that_arrive_late_judge_the_recorded_answers(
    world: World, outputs: Callable[..., dict[str, Output]], tmp_path: Path
) -> None:
    for track in ("stable", "canary"):
        _logged(tmp_path / "log" / track, 3_000, shift=0)
    lines = (json.dumps({"id": f"{track}-{i}", "label": "cat"}) for track in ("stable", "canary") for i in range(3_000))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    look = {"model_name": "digits", "platform": "fake://", "run_id": "look-1"}
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


@pytest.mark.parametrize("run_id", ["", "{{$.pipeline_job_uuid}}", "weekly-{{$.pipeline_job_uuid}}"])
def test_a_look_that_does_not_know_its_run_is_refused_since_the_cache_would_answer_for_it(
    world: World, outputs: Callable[..., dict[str, Output]], tmp_path: Path, run_id: str
) -> None:
    look = {"model_name": "digits", "platform": "fake://", "plan": QUICK, "run_id": run_id}
    (tmp_path / "data.csv").write_text("x\n1\n")
    for call in (
        lambda: evaluate_metrics.python_func(**look, **outputs(*MEASURED)),
        lambda: evaluate_quality.python_func(**look, **outputs(*MEASURED)),
        lambda: profile_data.python_func(data=str(tmp_path / "data.csv"), run_id=run_id, profile=Output(str(tmp_path / "profile"))),
    ):
        with pytest.raises(Refused, match=r"pass dsl\.PIPELINE_JOB_ID_PLACEHOLDER itself"):
            call()
    assert not (tmp_path / "profile").exists()
