"""The component that starts the candidate's servers beside the stable version, without traffic."""

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
    release_id: str = "",
) -> str:
    """Deploy the version at weight 0, wait until its servers are AVAILABLE and warm, and start the guard, which watches whenever no step does.

    Args:
        version: The version's number, which push_model returned.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan; with `bootstrap: true` a first version becomes stable at once.
        run_id: The id of the run that owns the release.
        evidence: The servers that were started, and in what time, as JSON.
        report: The findings as a page for people.
        summary: The findings as Markdown.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        pass; fail where the servers did not become ready.
    """
    from tfcanary.act import deploy, push
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    candidate = push.pushed(step.platform, version)
    look = deploy.deploy_canary(step.platform, step.run_id, candidate, lambda: steps.warmup_requests(step))
    return steps.publish_look(step, look, f"{model_name}: canary at weight 0", evidence, report, summary)
