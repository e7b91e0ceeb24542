"""The component that sets the canary's weight; for other pipelines than the release's own."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def shift_traffic(weight: int, model_name: str, platform: str, plan: dict, run_id: str, release_id: str = "") -> int:
    """Set the canary's weight in this run's release and read it back; a higher weight needs a live guard, which watches from then on.

    The weight stays for the plan's `deploy.handover`. Set it again within that time, or the guard rolls back.

    Args:
        weight: The canary's share in whole percent, 0 to 100.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that owns the release.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        The weight in force, in whole percent.
    """
    from tfcanary.act import shift
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    shift.set_weight(step.platform, step.run_id, weight)
    return step.platform.router.split().canary
