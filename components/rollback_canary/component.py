"""Put everything back as it was."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rollback_canary(
    model_name: str, platform: str, plan: dict, run_id: str, report: dsl.Output[dsl.HTML], summary: dsl.Output[dsl.Markdown]
) -> str:
    """Roll back: all requests to the stable version, read back, then the candidate's servers are removed. May be repeated.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that owns the release.
        report: The whole release as a page.
        summary: The same as Markdown.

    Returns:
        rolled back.
    """
    from tfcanary.act import rollback
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    rollback.roll_back(step.platform, run_id)
    return steps.publish_release(step, report, summary)
