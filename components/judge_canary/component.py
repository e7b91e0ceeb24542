"""The component that makes one verdict of everything that a stage found."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def judge_canary(
    stage: int,
    watch_verdict: dsl.Input[dsl.Artifact],
    drift: dsl.Input[dsl.Artifact],
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    release_id: str = "",
) -> str:
    """Judge one stage: a gating criterion that fails rolls back, and the last stage promotes only where every criterion passed.

    Args:
        stage: The number of the stage, from 0: the place of its weight in the plan.
        watch_verdict: The evidence of watch_stage.
        drift: The evidence of evaluate_drift about the stage's minutes.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that owns the release.
        verdict: The decision with all the findings that it rests on, as JSON.
        report: The verdict as a page for people.
        summary: The verdict as Markdown.
        metrics: The decision and the criteria's estimates, for comparing runs.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        advance, promote or rollback.
    """
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    stage_verdict = steps.judge_stage(step, stage, watch_verdict, drift)
    metrics.metadata.update(steps.metric_rows(stage_verdict.decision, stage_verdict.evidence))
    return steps.publish_verdict(step, stage_verdict, f"{model_name}: verdict of stage {stage}", verdict, report, summary)
