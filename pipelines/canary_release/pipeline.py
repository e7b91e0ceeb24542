"""The gated graph: makes a SavedModel the one that everybody gets, or puts everything back.

The stages are unrolled by recursion: the weights are a run-time list in the plan, MAX_STAGES is how many fit. Three
bare conditions a stage read an unnamed return value, because the local runner evaluates a bare condition on a named
output to false. Everything lies inside the exit handler: a failure before it would skip the exit step.
"""

from typing import Any

from kfp import dsl

from components.compare_predictions.component import compare_predictions
from components.deploy_canary.component import deploy_canary
from components.evaluate_drift.component import evaluate_drift
from components.guard_release.component import guard_release
from components.judge_canary.component import judge_canary
from components.promote_canary.component import promote_canary
from components.push_model.component import push_model
from components.rollback_canary.component import rollback_canary
from components.validate_savedmodel.component import validate_savedmodel
from components.watch_stage.component import watch_stage
from pipelines._pods import act, observe, query, tell
from tfcanary.core.plan import MAX_STAGES


def stage(number: int, release: dict[str, Any]) -> None:
    """Watch one weight, judge it, and inside the gate `advance` the stages after it."""
    watched = observe(watch_stage(stage=number, **release), f"{number}: shift and watch")
    found = watched.outputs["evidence"]
    drift = act(evaluate_drift(stage=number, watched=found, **release), f"{number}: drift")
    judged = tell(act(judge_canary(stage=number, watched=found, drift=drift.outputs["evidence"], **release), f"{number}: judge"))
    decision = judged.outputs["Output"]
    if number + 1 < MAX_STAGES:
        with dsl.If(decision == "advance", name=f"advance to stage {number + 1}"):
            stage(number + 1, release)
    with dsl.If(decision == "promote", name=f"promote after stage {number}"):
        tell(act(promote_canary(**release), "promote"))
    with dsl.If(decision == "rollback", name=f"roll back at stage {number}"):
        tell(act(rollback_canary(**release), "roll back"))


@dsl.pipeline(name="canary-release", display_name="Canary release")
def canary_release(model_uri: str, model_name: str, platform: str, plan: dict = {}):  # noqa: B006
    """Make a SavedModel the one that everybody gets, or put everything back as it was, and say why.

    * model_name: the name under which TensorFlow Serving serves it
    * model_uri: the exported SavedModel, a gs:// URI
    * plan: the release plan as JSON; {} means every default, examples/plan.yaml is the smallest useful one
    * platform: kube:// and the namespace

    How it ended is the page of the step "guard", and its metrics compare runs.

    Args:
        model_uri: The exported SavedModel: a directory or a gs:// URI.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan; empty means every default.
    """
    owner = {"model_name": model_name, "platform": platform, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
    release = {**owner, "plan": plan}
    guard = tell(act(guard_release(**owner), "guard"))
    with dsl.ExitHandler(guard, name="release"):
        valid = query(act(validate_savedmodel(model_uri=model_uri, **release), "validate"))
        with dsl.If(valid.outputs["Output"] == "pass", name="the model is valid"):
            pushed = act(push_model(model_uri=model_uri, digest=valid.outputs["digest"], **release), "push")
            deployed = act(deploy_canary(version=pushed.outputs["Output"], **release), "deploy canary at weight 0")
            compared = act(compare_predictions(**release).after(deployed), "same requests to both")
            with dsl.If(compared.outputs["Output"] == "pass", name="the answers are right"):
                stage(0, release)
