"""The component that copies the validated model into the canary bucket."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def push_model(model_uri: str, digest: str, model_name: str, platform: str, plan: dict, run_id: str, release_id: str = "") -> int:
    """Copy the validated SavedModel into the canary bucket as a new version; bytes that lie there already are not copied again.

    Args:
        model_uri: The exported SavedModel that was validated: a directory, a gs:// or an s3:// URI.
        digest: The SHA-256 that validate_savedmodel returned; other bytes are refused.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that owns the release.
        release_id: The id of the release, made before the submission; empty: the id of the run.

    Returns:
        The number of the new version.
    """
    from tfcanary.act import push
    from tfcanary.core.errors import Refused
    from tfcanary.look import savedmodel
    from tfcanary.run import steps

    step = steps.open_step(platform, model_name, plan, run_id, release_id)
    model = steps.fetch(model_uri)
    manifest = savedmodel.manifest(model)
    if manifest.digest != digest:
        raise Refused(f"{model_uri}: its digest is {manifest.digest}, validated was {digest}; release the new bytes in a run of their own")
    return push.push_candidate(step.platform, step.run_id, model, manifest).number
