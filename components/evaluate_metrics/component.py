"""One look at the metrics of both tracks; beside the graph, for other pipelines."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_metrics(
    model_name: str,
    platform: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    plan: dict = {},  # noqa: B006
    seconds: int = 300,
) -> str:
    """Compare errors and latency of canary and stable for so many seconds; no traffic is moved and nothing is recorded.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        evidence: An interval per criterion, as JSON.
        report: The same as a page.
        summary: The same as Markdown.
        metrics: What was found and the criteria's estimates, for comparing runs.
        plan: Its `judge` and `metrics` parts are used.
        seconds: How long to look; the plan's warm-up counts in.

    Returns:
        pass, fail or inconclusive.
    """
    from datetime import timedelta

    from tfcanary.look.evaluate.metrics import evaluate
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, "")
    look = evaluate(step.platform, step.plan, timedelta(seconds=seconds))
    metrics.metadata.update(steps.scalars(look.finding, look.evidence))
    return steps.write_look(step, look, f"{model_name}: metrics", evidence, report, summary)
