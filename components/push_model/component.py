"""Put the validated bytes into the canary bucket."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def push_model(model_uri: str, digest: str, model_name: str, platform: str, plan: dict, run_id: str) -> int:
    """Push the validated SavedModel to the canary bucket, complete or not servable; pushing the same bytes twice is one push.

    Args:
        model_uri: The exported SavedModel that was validated.
        digest: The SHA-256 that validation returned; other bytes are refused.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that owns the release.

    Returns:
        The version's number.
    """
    from tfcanary.act import push
    from tfcanary.core.errors import Refused
    from tfcanary.look import savedmodel
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id)
    model = steps.fetch(model_uri)
    manifest = savedmodel.manifest(model)
    if manifest.digest != digest:
        raise Refused(f"{model_uri}: its digest is {manifest.digest}, validated was {digest}; release the new bytes in a run of their own")
    return push.push_candidate(step.platform, run_id, model, manifest).number
