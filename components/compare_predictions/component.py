"""The component that sends equal requests to both tracks, before any user sees the candidate."""

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
    release_id: str = "",
) -> str:
    """Send the plan's recorded or golden requests to stable and to the canary at weight 0, and compare the answers one by one.

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan; without `predictions` this step passes and says "absent by plan".
        run_id: The id of the run that owns the release.
        evidence: The changed answers, the accuracy and the errors with their intervals, as JSON.
        report: The findings as a page for people.
        summary: The findings as Markdown.
        metrics: The finding and its estimates, for comparing runs.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        pass, fail or inconclusive; after a first release, which has no version to compare with: promoted.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    look = steps.compare_predictions(step)
    metrics.metadata.update(steps.metric_rows(look.answer, look.evidence))
    word = steps.publish_look(step, look, f"{model_name}: equal requests to both versions", evidence, report, summary)
    return step.release.state.value if step.release.state.ended else word
