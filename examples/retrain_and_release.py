"""A training pipeline that releases what it has made: train, then the component `trigger_release`.

`python -m examples.retrain_and_release` writes retrain_and_release.yaml, for the Kubeflow UI or `kfp.Client`.
"""

from kfp import compiler, components, dsl

from tfcanary.run.submit import package

trigger_release = components.load_component_from_text(package("trigger_release"))


@dsl.component(base_image="python:3.11", packages_to_install=["tensorflow-cpu>=2.21,<2.22"])
def train(rows: str, exports: str) -> str:
    """Fit a model and export it as a version of its own.

    Args:
        rows: A CSV file of numbers, the label in the last column.
        exports: The folder of versions.

    Returns:
        The version's URI.
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


@dsl.pipeline(name="retrain-and-release", description="Trains a model and releases it as a canary, when the road is free.")
def retrain_and_release(rows: str, exports: str, model_name: str, platform: str, plan: dict, host: str, wait: str = "4h"):
    """Train and release.

    Args:
        rows: The training data.
        exports: The folder of versions.
        model_name: The name under which TensorFlow Serving serves the model.
        platform: kube://<namespace> or local:///<state folder>.
        plan: The release plan.
        host: The Kubeflow Pipelines endpoint on which the release runs.
        wait: How long the candidate may wait for the road.
    """
    trained = train(rows=rows, exports=exports)
    released = trigger_release(
        model_uri=trained.output,
        model_name=model_name,
        platform=platform,
        plan=plan,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        host=host,
        wait=wait,
    )
    released.set_caching_options(False).set_display_name("release")


if __name__ == "__main__":
    compiler.Compiler().compile(retrain_and_release, "retrain_and_release.yaml")
