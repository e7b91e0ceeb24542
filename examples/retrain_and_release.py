"""A training pipeline that releases its model: it trains, exports, and ends with the component `trigger_release`.

`python -m examples.retrain_and_release <repository>/tfcanary@sha256:<digest>` writes retrain_and_release.yaml, for the Kubeflow UI or
`kfp.Client`; the last step and the release run in that image.
"""

from pathlib import Path

import click
from kfp import compiler, components, dsl, kubernetes

from pipelines._pods import WATCH, configure
from tfcanary.run.submit import PLACEHOLDER, package

trigger_release = components.load_component_from_text(package("trigger_release"))


@dsl.component(base_image="python:3.11", packages_to_install=["tensorflow-cpu>=2.21,<2.22"])
def train(rows: str, exports: str) -> str:
    """Train a model and export it as a new version.

    Args:
        rows: A CSV file of numbers, the label in the last column.
        exports: The folder of versions: gs://bucket/folder.

    Returns:
        The URI of the new version.
    """
    import time

    import tensorflow as tf

    with tf.io.gfile.GFile(rows) as file:
        table = tf.constant([[float(value) for value in line.split(",")] for line in file])
    model = tf.keras.Sequential([tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(table[:, :-1], table[:, -1:], epochs=5, verbose=2)
    version = f"{exports}/{int(time.time())}"
    model.export(version)
    with tf.io.gfile.GFile(f"{version}/_SUCCESS", "w") as marker:
        marker.write("")
    return version


@dsl.pipeline(name="retrain-and-release", description="Trains a model and releases it as a canary when no other release is active.")
def retrain_and_release(rows: str, exports: str, model_name: str, platform: str, plan: dict, host: str, wait: str = "4h"):
    """Train a model, then release it as a canary.

    Args:
        rows: A CSV file of numbers, the label in the last column.
        exports: The folder of versions: gs://bucket/folder.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: The platform that serves the model: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        host: The Kubeflow Pipelines endpoint on which the release runs.
        wait: The longest time to wait for the end of an active release, for example 30m.
    """
    training = train(rows=rows, exports=exports)
    release = trigger_release(
        model_uri=training.output,
        model_name=model_name,
        platform=platform,
        plan=plan,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        host=host,
        wait=wait,
    )
    # A Kubeflow with many users gives the pods with this label a token for its API.
    kubernetes.add_pod_label(release, "access-ml-pipeline", "true")
    # It waits for the end of an active release, which may take days.
    configure(release, "release", seconds=WATCH)


@click.command()
@click.argument("image")
def main(image: str) -> None:
    """Write retrain_and_release.yaml with IMAGE, which the cluster pulls, as the image of the step that releases."""
    file = Path("retrain_and_release.yaml")
    compiler.Compiler().compile(retrain_and_release, str(file))
    file.write_text(file.read_text(encoding="utf-8").replace(PLACEHOLDER, image), encoding="utf-8")


if __name__ == "__main__":
    main()
