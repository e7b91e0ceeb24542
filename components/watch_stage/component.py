"""Set a stage's weight and watch until it is decided."""

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
) -> str:
    """Shift traffic to the stage's weight and watch both tracks; on a rollback decision the weight is 0 within one poll.

    Args:
        stage: Which of the plan's weights, from 0.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that owns the release.
        evidence: The watch's verdict with an interval per criterion, as JSON.
        report: The same as a page, with weight and requests over time.
        summary: The same as Markdown.

    Returns:
        advance, promote or rollback.
    """
    from tfcanary.run import monitor, steps, watch

    step = steps.open_step(platform, model_name, plan, run_id)
    monitor.beside_a_watch(platform, model_name)
    verdict = watch.watch_stage(step.platform, run_id, stage)
    return steps.publish_verdict(step, verdict, f"{model_name}: stage {stage} watched", evidence, report, summary)
