"""Make the candidate the version that everybody gets."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote_canary(
    model_name: str, platform: str, plan: dict, run_id: str, report: dsl.Output[dsl.HTML], summary: dsl.Output[dsl.Markdown]
) -> str:
    """Promote the candidate: the servers that were judged are the servers that serve; nothing is restarted.

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that owns the release.
        report: The whole release as a page.
        summary: The same as Markdown.

    Returns:
        promoted; rolled back where the servers cannot become enough for all traffic.
    """
    from tfcanary.act import promote
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    promote.promote(step.platform, run_id)
    return steps.publish_release(step, report, summary)
