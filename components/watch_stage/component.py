"""The component that sets a stage's weight and watches both tracks until the stage is decided."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def watch_stage(
    stage: int,
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    release_id: str = "",
) -> str:
    """Give the canary the stage's weight and watch both tracks until the stage is decided; a decision to roll back takes the weight to 0 within one poll.

    Args:
        stage: The number of the stage, from 0: the place of its weight in the plan.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that owns the release.
        evidence: The watch's verdict with an interval for each criterion, as JSON.
        report: The verdict as a page for people, with weight and requests over time.
        summary: The verdict as Markdown.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        advance, promote or rollback.
    """
    from tfcanary.run import monitor, steps, watch

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    monitor.serve_beside_watch(platform, model_name)
    verdict = watch.watch_stage(step.platform, step.run_id, stage)
    return steps.publish_verdict(step, verdict, f"{model_name}: stage {stage} watched", evidence, report, summary)
