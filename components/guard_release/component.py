"""The component that ends a release: the exit step of its pipeline, and the only step of `abort_release`."""

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
    release_id: str = "",
) -> str:
    """End the release by its record: a release that has ended already is left as it is, any other one is rolled back.

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        run_id: The id of the run that owns the release; empty means the active release, whoever owns it.
        report: The report of the whole release as a page for people; its beginning says how the release ended, and why.
        summary: The report of the whole release as Markdown.
        metrics: The outcome, the time, the canary's requests and the last estimates, for comparing runs.
        reason: Why the release is stopped, where a person stops it.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        promoted, rolled back or refused; none where the record holds no such release.
    """
    from tfcanary.act import rollback
    from tfcanary.run import steps

    step = steps.reopen_step(platform, model_name, release_id or run_id, run_id if release_id else "")
    rollback.roll_back(step.platform, step.run_id, reason, step.begun_by)
    metrics.metadata.update(steps.outcome_rows(step))
    return steps.publish_release(step, report, summary)
