"""Inputs and predictions of a stage's window, canary against stable."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_drift(
    stage: int,
    watched: dsl.Input[dsl.Artifact],
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Compare what both tracks were asked and answered in the stage's minutes: inputs, predicted classes, scores.

    Args:
        stage: Which of the plan's weights, from 0.
        watched: The verdict of watch_stage: the window ends with it.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan; without `drift` this step says "absent by plan" and passes.
        run_id: The run that owns the release.
        evidence: Effects and findings, as JSON.
        report: The same as a page.
        summary: The same as Markdown.
        metrics: What was found and the largest effects, for comparing runs.

    Returns:
        pass, fail or inconclusive.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    look = steps.drifted(step, stage, watched)
    metrics.metadata.update(steps.scalars(look.finding, look.evidence))
    return steps.publish_look(step, look, f"{model_name}: drift in stage {stage}", evidence, report, summary)
