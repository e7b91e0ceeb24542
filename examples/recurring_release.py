"""A recurring run that releases the newest complete version of a folder that another system writes, once.

`python -m examples.recurring_release --help` shows how it is scheduled on a Kubeflow host.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from kfp import compiler, components, dsl, kubernetes

from pipelines._pods import WATCH, configure
from tfcanary.cli import options
from tfcanary.core import codec
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.run.submit import check_image, package
from tfcanary.run.submit.host_auth import HostAuth, read_auth
from tfcanary.run.submit.kfp_api import KfpApi
from tfcanary.run.submit.parameters import check_size
from tfcanary.run.trigger import uris

trigger_release = components.load_component_from_text(package("trigger_release"))
EVERY_MORNING = "0 0 6 * * *"
"""When the run starts, in Kubeflow's form of cron, whose first field is the second."""


@dsl.pipeline(name="recurring-release", description="Releases the newest complete version of a folder as a canary, once.")
def recurring_release(exports: str, model_name: str, platform: str, plan: dict, host: str, complete: str = "_SUCCESS"):
    """Release the newest complete version in `exports`.

    Args:
        exports: The folder of versions: gs://bucket/folder.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        host: The Kubeflow Pipelines endpoint on which the release runs.
        complete: The object that is written last into a version.
    """
    release = trigger_release(
        model_uri=exports,
        model_name=model_name,
        platform=platform,
        plan=plan,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        host=host,
        newest=True,
        complete=complete,
    )
    # A Kubeflow with many users gives the pods with this label a token for its API.
    kubernetes.add_pod_label(release, "access-ml-pipeline", "true")
    # It waits for the end of an active release, which may take days.
    configure(release, "release", seconds=WATCH)


def schedule(
    host: str,
    parameters: Mapping[str, Any],
    image: str = "",
    auth: HostAuth | None = None,
    experiment: str = "releases",
    service_account: str = "",
) -> str:
    """Create the recurring run on a Kubeflow host; returns its id.

    Args:
        host: The endpoint of a Kubeflow Pipelines API.
        parameters: The arguments of `recurring_release`.
        image: The image of the step, and of the releases' steps; may be empty where the package was compiled for an image.
        auth: The credentials for the host.
        experiment: The name of the Kubeflow experiment in which the runs are.
        service_account: The Kubernetes service account of the step; empty means the host's default account.

    Raises Refused where the image is missing or the plan is too large for the host, Unavailable where the host cannot be reached.
    """
    check_image(image)
    check_size(dict(parameters))
    pipeline, pods = _compile()
    if image:
        pipeline["deploymentSpec"]["executors"]["exec-trigger-release"]["container"]["image"] = image
    run = {
        "display_name": f"release {parameters['model_name']}",
        "pipeline_spec": {"pipeline_spec": pipeline, "platform_spec": pods},
        "runtime_config": {"parameters": dict(parameters)},
        "trigger": {"cron_schedule": {"cron": EVERY_MORNING}},
        "mode": "ENABLE",
        "max_concurrency": 1,  # two runs at a time would wait for the same candidate
        "no_catchup": True,  # a later run releases the newest version, so a missed run need not be made up for
        **({"service_account": service_account} if service_account else {}),
    }
    return KfpApi.connect(host, auth).create_recurring_run(run, experiment)


def _compile() -> tuple[dict[str, Any], dict[str, Any]]:
    """The compiled pipeline, and its pods' settings."""
    with tempfile.TemporaryDirectory() as scratch:
        compiled = Path(scratch, "recurring_release.yaml")
        compiler.Compiler().compile(recurring_release, str(compiled))
        pipeline, pods = yaml.safe_load_all(compiled.read_text(encoding="utf-8"))
        return pipeline, pods


@click.command()
@click.argument("exports")
@options.name(required=True, text="The name under which TensorFlow Serving serves the model.")
@options.plan(required=True)
@click.option("--platform", required=True, metavar="URI", help="The platform that serves the model: kube://<namespace>.")
@click.option("--host", required=True, metavar="URL", help="The Kubeflow Pipelines endpoint on which the run is scheduled.")
@click.option("--host-of-step", default="", metavar="URL", help="The same endpoint as the step reaches it. Default: --host.")
@options.host_auth
@options.image
@options.service_account
@click.option("--complete", default="_SUCCESS", show_default=True, metavar="NAME", help="The object that is written last into a version.")
def main(
    exports: str,
    name: str,
    plan_file: Path,
    platform: str,
    host: str,
    host_of_step: str,
    host_auth: str,
    image: str,
    service_account: str,
    complete: str,
) -> None:
    """Schedule the releases of the newest version in the folder EXPORTS. Exit 0 scheduled, 2 bad input, 3 could not reach the host."""
    try:
        parameters = {
            "exports": uris.normalise(exports),
            "model_name": name,
            "platform": platform,
            "plan": codec.brief(options.read_plan(plan_file)),
            "host": host_of_step or host,
            "complete": complete,
        }
        click.echo(f"scheduled: recurring run {schedule(host, parameters, image, read_auth(host_auth), service_account=service_account)}")
    except TfcanaryError as error:
        click.echo(f"recurring_release: {error}", err=True)
        sys.exit(2 if isinstance(error, Refused) else 3)


if __name__ == "__main__":
    main()
