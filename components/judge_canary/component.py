"""One verdict out of all that a stage found."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def judge_canary(
    stage: int,
    watched: dsl.Input[dsl.Artifact],
    drift: dsl.Input[dsl.Artifact],
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Judge one stage: any gating fail rolls back, the last stage promotes only when every criterion passed.

    Args:
        stage: Which of the plan's weights, from 0.
        watched: The verdict of watch_stage.
        drift: What evaluate_drift found in the same window.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that owns the release.
        verdict: The decision with all it rests on, as JSON.
        report: The same as a page.
        summary: The same as Markdown.
        metrics: The decision and the criteria's estimates, for comparing runs.

    Returns:
        advance, promote or rollback.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    said = steps.judged(step, stage, watched, drift)
    metrics.metadata.update(steps.scalars(said.decision, said.evidence))
    return steps.publish_verdict(step, said, f"{model_name}: verdict of stage {stage}", verdict, report, summary)
