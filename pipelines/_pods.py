"""What the pod of every step is given on a cluster; the local runner leaves it aside."""

from kfp import dsl, kubernetes

from tfcanary import __version__
from tfcanary.adapters.kubeclient.object_names import WATCHES
from tfcanary.adapters.package_check import PACKAGE
from tfcanary.core.plan.cluster import METRICS_SECRET, METRICS_SECRETS
from tfcanary.core.plan.receivers import SECRET, SECRETS

HOUR = 3600
STEP = 6 * HOUR
"""Seconds for a step: longer than copying the largest model or waiting for a node with a GPU, shorter than a day in which nobody
notices a pod that hangs. It counts from the pod's start, the pull of the image included, so it cannot come from the plan."""
WATCH = 8 * 24 * HOUR
"""Seconds for a step that watches: a week of traffic, and a day more. It is no limit for people: a watch ends by the plan's
`stage.maximum`, and one that hangs loses its hold within a minute, and the guard takes the weight to 0. A plan whose
`stage.maximum` is longer than this is cut off here, and then rolled back by the guard."""


def act(task: dsl.PipelineTask, label: str, seconds: int = STEP) -> dsl.PipelineTask:
    """A step with effects: never cached and named for people; its pod knows its package's version, and ends in bounded time."""
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    # Labels take no parameters: the model's name is in the run's name and in its parameters.
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "tfcanary")
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", "step")
    # Istio's proxy would go on when the step has ended, and so would the pod.
    kubernetes.add_pod_label(task, "sidecar.istio.io/inject", "false")
    kubernetes.set_timeout(task, seconds)
    task.set_env_variable(PACKAGE, __version__)
    return task.set_caching_options(False).set_display_name(label)


def observe(task: dsl.PipelineTask, label: str) -> dsl.PipelineTask:
    """A step that watches: it may last for days, and Prometheus finds its pod by a label of its own."""
    kubernetes.add_pod_label(task, WATCHES, "true")
    return query(act(task, label, WATCH))


def query(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A step that queries Prometheus finds its credentials in its namespace."""
    return kubernetes.use_secret_as_volume(task, METRICS_SECRET, METRICS_SECRETS, optional=True)


def tell(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A step that tells people finds the secret addresses of its namespace; a step that loads models does not."""
    return kubernetes.use_secret_as_volume(task, SECRET, SECRETS, optional=True)
