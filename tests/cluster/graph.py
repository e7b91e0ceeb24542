"""The graph's steps in the graph's order, in one process: `python -m tests.cluster.graph JOB`.

What the compiled pipeline does, without its start-up times, so that a drill can kill it anywhere and begin again. Without
the trial: a job is a model that was validated.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

from tfcanary.act import deploy, ledger, promote, push, rollback, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Absence, Decision, Look, Verdict
from tfcanary.core.record import Release
from tfcanary.look import savedmodel
from tfcanary.run import steps, watch
from tfcanary.run.steps import Step

NO_DRIFT = Look("drift", absent=(Absence("drift", "absent by plan"),))
FORCED = Verdict(Decision.PROMOTE, "the drill says so")


def main(job: Path) -> None:
    """Run one release; the exit step follows whatever happens, unless the process is killed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    told = json.loads(job.read_text())
    step = steps.open_step(told["platform"], told["model_name"], told["plan"], told["run_id"])
    try:
        _release(step, Path(told["model"]), told.get("forced", False))
    finally:
        rollback.roll_back(step.platform, step.run_id)


def _release(step: Step, model: Path, forced: bool) -> None:
    platform, run_id = step.platform, step.run_id
    ledger.begin(platform, step.plan, run_id, str(model))
    candidate = push.push_candidate(platform, run_id, model, savedmodel.manifest(model))
    look = deploy.deploy_canary(platform, run_id, candidate, lambda: steps.warmup_requests(step))
    if steps.gate_word(look) != "pass" or step.release.state.ended:
        return
    ledger.note(platform, run_id, steps.compare_predictions(step))
    if steps.gate_word(step.release.looks["compare"]) == "pass":
        _stages(step, forced)


def _stages(step: Step, forced: bool) -> None:
    for stage in range(len(step.plan.weights)):
        said = _forced(step, stage) if forced else _judged(step, stage)
        if said is Decision.PROMOTE:
            promote.promote(step.platform, step.run_id)
        if said is not Decision.ADVANCE:
            return


def _judged(step: Step, stage: int) -> Decision:
    watched = watch.watch_stage(step.platform, step.run_id, stage)
    return watch.judge_stage(step.platform, step.run_id, stage, watched, NO_DRIFT).decision


def _forced(step: Step, stage: int) -> Decision:
    """The weight without the watch, and the verdict that the drill wants: what is drilled are the writes."""
    recorded = ledger.of_stage(step.release.verdicts, stage)
    if recorded:
        return recorded.decision
    decision = Decision.PROMOTE if step.plan.is_last(stage) else Decision.ADVANCE
    verdict = replace(FORCED, decision=decision, stage=stage, weight=step.plan.weights[stage])

    def done(release: Release) -> Release | None:
        return replace(release, verdicts=ledger.put_verdict(release.verdicts, verdict))

    with holding(step.platform, step.run_id, f"watch stage {stage}") as hold:
        shift.shift(hold, stage)
        hold.hand_over(done)
    return decision


if __name__ == "__main__":
    main(Path(sys.argv[1]))
