"""The advertised way to stop a release: a person or an alert may start it at any time."""

from kfp import dsl

from components.guard_release.component import guard_release
from pipelines._pods import act, tell


@dsl.pipeline(name="abort-release", display_name="Abort a canary release")
def abort_release(model_name: str, platform: str, reason: str = "aborted by a person"):
    """Stop the release of a model: all requests to the stable version, then the candidate is removed.

    * model_name: the name under which TensorFlow Serving serves it
    * platform: kube:// and the namespace
    * reason: why, for the record

    Args:
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        reason: Why, for the record.
    """
    tell(act(guard_release(model_name=model_name, platform=platform, run_id="", reason=reason), "abort"))
