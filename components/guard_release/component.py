"""The exit step: whatever happened, the release has an end and the canary no traffic."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def guard_release(
    model_name: str,
    platform: str,
    run_id: str,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    reason: str = "",
) -> str:
    """Reconcile from the record: nothing to do where the release was promoted or rolled back, else roll back.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        run_id: The run that owns the release; empty: whichever is on the road.
        report: The whole release as a page: how it ended first, and why.
        summary: The same as Markdown.
        metrics: How it ended, how long it took, how many requests met the canary and the last estimates, for comparing runs.
        reason: Why it is stopped, if somebody stops it.

    Returns:
        promoted, rolled back, refused, or none where the record knows no such release.
    """
    from tfcanary.act import rollback
    from tfcanary.run import steps

    step = steps.reopen_step(platform, model_name, run_id)
    rollback.roll_back(step.platform, step.run_id, reason)
    metrics.metadata.update(steps.outcome(step))
    return steps.publish_release(step, report, summary)
