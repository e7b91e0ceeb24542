"""The same requests to both tracks, before any user sees the candidate."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare_predictions(
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Send the plan's recorded or golden requests to stable and canary at weight 0 and compare the answers one by one.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan; without `predictions` this step says "absent by plan" and passes.
        run_id: The run that owns the release.
        evidence: Flips, accuracy and errors with their intervals, as JSON.
        report: The same as a page.
        summary: The same as Markdown.
        metrics: What was found and the estimates, for comparing runs.

    Returns:
        pass, fail or inconclusive; for a first release, promoted: there is nothing to compare with.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    look = steps.compared(step)
    metrics.metadata.update(steps.scalars(look.finding, look.evidence))
    word = steps.publish_look(step, look, f"{model_name}: the same requests to both", evidence, report, summary)
    return step.release.state.value if step.release.state.ended else word
