"""The component that releases the model of a training pipeline, as the pipeline's last step."""

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
    host_ui: str = "",
    wait: str = "4h",
    newest: bool = False,
    complete: str = "",
) -> str:
    """Offer a candidate to the model's waiting list, wait for its turn, and submit its canary release as a run of its own.

    Args:
        model_uri: The exported SavedModel; with `newest`, the folder of its versions.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        run_id: The id of the run that offers the candidate; one run offers one candidate once.
        page: The address of the release's own run; empty where no release was submitted.
        reason: The fate of the candidate, in one sentence.
        host: The Kubeflow Pipelines endpoint on which the release runs; empty means this machine.
        image: The image of the release's steps; empty means the image of this step.
        service_account: The Kubernetes service account of the release's steps; empty means the default account of the host.
        host_ui: The address at which people open the pages of that endpoint; empty means `host`.
        wait: The longest time to wait for the end of an active release, for example 30m; afterwards the candidate stays in the list.
        newest: Whether model_uri is a folder, of which the newest complete version is released unless it was offered before.
        complete: With newest, the object that is written last into a version, for example _SUCCESS; empty means that a version is complete once it no longer changes.

    Returns:
        submitted, waiting, replaced, refused, late, gone or nothing new.
    """
    from pathlib import Path

    from tfcanary.run.trigger import pipeline_step
    from tfcanary.run.trigger.settings import Target

    offer = pipeline_step.Offer(model_uri, model_name, run_id, wait, newest, complete)
    outcome = pipeline_step.take(offer, plan, Target(platform, host, host_ui, image=image, service_account=service_account))
    Path(page).write_text(outcome.page)
    Path(reason).write_text(outcome.reason)
    return outcome.word
