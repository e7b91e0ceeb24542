"""Release what a training pipeline has made; its last step."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def trigger_release(
    model_uri: str,
    model_name: str,
    platform: str,
    plan: dict,
    run_id: str,
    page: dsl.OutputPath(str),
    reason: dsl.OutputPath(str),
    host: str = "",
    image: str = "",
    service_account: str = "",
    wait: str = "4h",
    newest: bool = False,
    complete: str = "",
) -> str:
    """Offer a candidate to the model's waiting list, wait for its turn, and submit its canary release.

    Args:
        model_uri: The exported SavedModel; with `newest`, a folder of versions.
        model_name: The name under which TensorFlow Serving serves it.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The run that offers it; the same run offers the same candidate once.
        page: Where the release's own run can be looked at; empty where it was not submitted.
        reason: What became of the candidate, in one sentence.
        host: The Kubeflow Pipelines endpoint on which the release runs; empty: this machine.
        image: The image of the release's steps; empty: the one that the package names.
        service_account: As whom the release's steps run; empty: the host's own.
        wait: How long it may wait for the road, for example 30m; afterwards the candidate stays in the list.
        newest: Release the newest complete version in the folder model_uri, where it is new.
        complete: With newest, the object that is written last, for example _SUCCESS; empty: a version is complete when it rests.

    Returns:
        submitted, waiting, replaced, refused, late, gone or nothing new.
    """
    from pathlib import Path

    from tfcanary.run.trigger import pipeline_step
    from tfcanary.run.trigger.settings import Target

    asked = pipeline_step.Offer(model_uri, model_name, run_id, wait, newest, complete)
    outcome = pipeline_step.take(asked, plan, Target(platform, host, image, service_account))
    Path(page).write_text(outcome.page)
    Path(reason).write_text(outcome.reason)
    return outcome.word
