"""The pipeline that stops a release: a person or an alert may start it at any time."""

from kfp import dsl

from components.guard_release.component import guard_release
from pipelines._pods import configure, mount_receivers


@dsl.pipeline(name="abort-release", display_name="Abort a canary release")
def abort_release(model_name: str, platform: str, reason: str = "aborted by a person"):
    """Stop the active release of a model: all requests go to the stable version, then the candidate's servers are removed.

    * model_name: the name under which TensorFlow Serving serves the model
    * platform: kube:// and the namespace
    * reason: why the release is stopped, for the record

    Args:
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        reason: Why the release is stopped, for the record.
    """
    mount_receivers(configure(guard_release(model_name=model_name, platform=platform, run_id="", reason=reason), "abort"))
