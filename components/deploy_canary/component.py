"""Bring the candidate up beside the stable version, without traffic."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy_canary(
    version: int,
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    evidence: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Deploy the version at weight 0, wait until it is AVAILABLE and warm, and start the guard that watches whenever no step does.

    Args:
        version: The number that push_model returned.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan; with `bootstrap: true` the version becomes stable at once.
        run_id: The run that owns the release.
        evidence: What came up, as JSON.
        report: The same as a page.
        summary: The same as Markdown.

    Returns:
        pass, or fail where the servers did not come up.
    """
    from tfcanary.act import deploy, push
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    candidate = push.pushed(step.platform, version)
    look = deploy.deploy_canary(step.platform, run_id, candidate, lambda: steps.sample_requests(step))
    return steps.publish_look(step, look, f"{model_name}: canary at weight 0", evidence, report, summary)
