"""The component that gives all requests back to the stable version."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rollback_canary(
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    release_id: str = "",
) -> str:
    """Roll the release back: all requests go to the stable version, the route is read back, and the candidate's servers are removed. It may be repeated.

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that owns the release.
        report: The report of the whole release as a page for people.
        summary: The report of the whole release as Markdown.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        rolled back.
    """
    from tfcanary.act import rollback
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    rollback.roll_back(step.platform, step.run_id)
    return steps.publish_release(step, report, summary)
