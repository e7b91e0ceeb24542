"""A recurring run that releases the newest complete version of a folder that another system writes, once.

`python -m examples.recurring_release http://localhost:8888` schedules it on that host.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler, components, dsl, kubernetes

from tfcanary.core import documents
from tfcanary.run.submit import package

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
    release.set_caching_options(False).set_display_name("release")


def schedule(client: Any, folder_id: str, parameters: dict[str, Any], service_account: str = "") -> Any:
    """Create the recurring run in the Kubeflow experiment `folder_id`; returns what the SDK returns."""
    with tempfile.TemporaryDirectory() as scratch:
        compiled = Path(scratch, "recurring_release.yaml")
        compiler.Compiler().compile(recurring_release, str(compiled))
        return client.create_recurring_run(
            experiment_id=folder_id,
            job_name=f"release {parameters['model_name']}",
            cron_expression=EVERY_MORNING,
            max_concurrency=1,  # two runs at a time would wait for the same candidate
            no_catchup=True,  # a later run releases the newest version, so a missed run need not be made up for
            params=parameters,
            pipeline_package_path=str(compiled),
            enable_caching=False,
            service_account=service_account or None,
        )


def main(host: str) -> None:
    """Schedule the release of the example's model on the KFP API at `host`."""
    from kfp import Client

    client = Client(host=host)
    parameters = {
        "exports": "gs://exports/digits",
        "model_name": "digits",
        "platform": "kube://serving",
        "plan": documents.read_document(Path(__file__).with_name("plan.yaml")),
        "host": "http://ml-pipeline.kubeflow:8888",
    }
    schedule(client, client.create_experiment("releases").experiment_id, parameters)


if __name__ == "__main__":
    main(sys.argv[1])
