"""The component that compares how often both tracks were right, by labels that arrive late; for other pipelines than the release's own."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_quality(
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Join labels to the recorded answers of canary and stable by the request's id, and compare how often both were right, in each slice.

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan, of which `labelled` is used; without it this step passes and says "absent by plan".
        run_id: The id of the run that asks, dsl.PIPELINE_JOB_ID_PLACEHOLDER; it keeps the step out of Kubeflow's cache.
        evidence: The differences of accuracy with their intervals, as JSON.
        report: The findings as a page for people.
        summary: The findings as Markdown.
        metrics: The finding and its estimates, for comparing runs.

    Returns:
        pass, fail or inconclusive.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    look = steps.evaluate_quality(step)
    metrics.metadata.update(steps.metric_rows(look.answer, look.evidence))
    return steps.write_look(step, look, f"{model_name}: quality by labels", evidence, report, summary)
