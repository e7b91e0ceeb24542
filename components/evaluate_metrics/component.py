"""The component that compares the metrics of both tracks once; for other pipelines than the release's own."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_metrics(
    model_name: str,
    platform: str,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    plan: dict = {},  # noqa: B006
    seconds: int = 300,
) -> str:
    """Compare the errors and latency of canary and stable for a number of seconds; no traffic is moved and nothing is recorded.

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        run_id: The id of the run that asks, dsl.PIPELINE_JOB_ID_PLACEHOLDER; it keeps the step out of Kubeflow's cache.
        evidence: The findings with an interval for each criterion, as JSON.
        report: The findings as a page for people.
        summary: The findings as Markdown.
        metrics: The finding and the criteria's estimates, for comparing runs.
        plan: The release plan, of which `judge` and `metrics` are used.
        seconds: The time of the comparison in seconds, the plan's warm-up included.

    Returns:
        pass, fail or inconclusive.
    """
    from datetime import timedelta

    from tfcanary.look.evaluate.metrics import evaluate
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    look = evaluate(step.platform, step.plan, timedelta(seconds=seconds))
    metrics.metadata.update(steps.metric_rows(look.answer, look.evidence))
    return steps.write_look(step, look, f"{model_name}: metrics", evidence, report, summary)
