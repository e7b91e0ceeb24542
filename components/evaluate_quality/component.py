"""How right the answers of both tracks were, by labels that arrive late; beside the graph, for other pipelines."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_quality(
    model_name: str,
    platform: str,
    plan: dict,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Join labels to the recorded answers of canary and stable by the request's id and compare how right both were, in each slice.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: Its `labelled` part is used; without it this step says "absent by plan" and passes.
        evidence: Differences of accuracy with their intervals, as JSON.
        report: The same as a page.
        summary: The same as Markdown.
        metrics: What was found and the estimates, for comparing runs.

    Returns:
        pass, fail or inconclusive.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, "")
    look = steps.good(step)
    metrics.metadata.update(steps.scalars(look.finding, look.evidence))
    return steps.write_look(step, look, f"{model_name}: quality by labels", evidence, report, summary)
