"""The component that compares the inputs and predictions of a stage's minutes, canary against stable."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_drift(
    stage: int,
    watch_verdict: dsl.Input[dsl.Artifact],
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    release_id: str = "",
) -> str:
    """Compare the requests and answers of both tracks in the stage's minutes: inputs, predicted classes and scores.

    Args:
        stage: The number of the stage, from 0: the place of its weight in the plan.
        watch_verdict: The evidence of watch_stage; the stage's minutes end with it.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan; without `drift` this step passes and says "absent by plan".
        run_id: The id of the run that owns the release.
        evidence: The effects and findings, as JSON.
        report: The findings as a page for people.
        summary: The findings as Markdown.
        metrics: The finding and the largest effects, for comparing runs.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        pass, fail or inconclusive.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    look = steps.evaluate_drift(step, stage, watch_verdict)
    metrics.metadata.update(steps.metric_rows(look.answer, look.evidence))
    return steps.publish_look(step, look, f"{model_name}: drift in stage {stage}", evidence, report, summary)
