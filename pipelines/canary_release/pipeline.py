"""The pipeline of a release: it makes a SavedModel the stable version, or gives all requests back to the version before.

The stages are unrolled by recursion, because the plan's weights are a list that only the run knows; MAX_STAGES of them fit.
Each stage has three bare conditions on an unnamed return value, because the local runner evaluates a bare condition on a named
output to false. Every step is inside the exit handler, because a failure before it would skip the exit step.
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
from pipelines._pods import (
    COMPARING,
    COPYING,
    LIGHT,
    LOADING,
    WATCH,
    configure,
    configure_watch,
    mount_metrics_credentials,
    mount_receivers,
    mount_signing_key,
)
from tfcanary.core.plan import MAX_STAGES


def stage(number: int, release: dict[str, Any]) -> None:
    """Add one stage to the graph: watch its weight, judge it, and behind the gate `advance` the stages after it."""
    watch = configure_watch(watch_stage(stage=number, **release), f"{number}: set the weight and watch")
    evidence = watch.outputs["evidence"]
    drift = configure(evaluate_drift(stage=number, watch_verdict=evidence, **release), f"{number}: drift", COMPARING)
    judge = configure(judge_canary(stage=number, watch_verdict=evidence, drift=drift.outputs["evidence"], **release), f"{number}: judge")
    decision = mount_receivers(judge).outputs["Output"]
    if number + 1 < MAX_STAGES:
        with dsl.If(decision == "advance", name=f"advance to stage {number + 1}"):
            stage(number + 1, release)
    with dsl.If(decision == "promote", name=f"promote after stage {number}"):
        mount_signing_key(mount_receivers(configure(promote_canary(**release), "promote", LIGHT, WATCH)))
    with dsl.If(decision == "rollback", name=f"roll back at stage {number}"):
        mount_receivers(configure(rollback_canary(**release), "roll back"))


@dsl.pipeline(name="canary-release", display_name="Canary release")
def canary_release(model_uri: str, model_name: str, platform: str, plan: dict = {}, release_id: str = ""):  # noqa: B006
    """Make a SavedModel the stable version of a model, or give all requests back to the version before, and say why.

    * model_name: the name under which TensorFlow Serving serves the model
    * model_uri: the exported SavedModel, a gs:// URI
    * plan: the release plan as JSON; {} means every default, examples/plan.yaml is the smallest useful one
    * platform: kube:// and the namespace
    * release_id: a name of your own for this release; empty means the run's id

    The page of the step "guard" says how the release ended, and its metrics compare runs.

    Args:
        model_uri: The exported SavedModel: a directory, a gs:// or an s3:// URI.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan; empty means every default.
        release_id: The id of the release, made before the submission; empty means the id of the run. An id is used once.
    """
    owner = {"model_name": model_name, "platform": platform, "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "release_id": release_id}
    release = {**owner, "plan": plan}
    guard = mount_receivers(configure(guard_release(**owner), "guard"))
    with dsl.ExitHandler(guard, name="release"):
        validation = mount_metrics_credentials(configure(validate_savedmodel(model_uri=model_uri, **release), "validate", LOADING))
        with dsl.If(validation.outputs["Output"] == "pass", name="the model is valid"):
            push = configure(push_model(model_uri=model_uri, digest=validation.outputs["digest"], **release), "push", COPYING)
            deployment = configure(deploy_canary(version=push.outputs["Output"], **release), "deploy canary at weight 0", COPYING)
            comparison = configure(compare_predictions(**release).after(deployment), "equal requests to both versions", COMPARING)
            with dsl.If(comparison.outputs["Output"] == "pass", name="the answers are right"):
                stage(0, release)
