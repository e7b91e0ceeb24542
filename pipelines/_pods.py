"""The settings of every step's pod on a cluster; the local runner ignores them."""

from dataclasses import dataclass

from kfp import dsl, kubernetes

from tfcanary import __version__
from tfcanary.adapters.kubeclient.object_names import WATCHES
from tfcanary.adapters.package_check import PACKAGE
from tfcanary.core.plan import LONGEST_CLOSED
from tfcanary.core.plan.cluster import METRICS_SECRET, METRICS_SECRETS, S3_SECRET, S3_SECRETS, SIGNING_SECRET, SIGNING_SECRETS
from tfcanary.core.plan.receivers import SECRET, SECRETS

HOUR = 3600
STEP = 6 * HOUR
"""Seconds after which a step's pod is ended: longer than copying the largest model or waiting for a node with a GPU, shorter
than a day in which nobody notices a pod that hangs. The time counts from the pod's start, the pull of the image included, so
it cannot come from the plan."""
WATCH = (8 + 2 * (LONGEST_CLOSED.days + 7)) * 24 * HOUR
"""Seconds after which the pod of a step that watches or promotes is ended: a week of traffic and a day more, and before and after it the
longest freeze with the longest time between two windows. It does not limit a plan: a watch ends by the plan's `stage.maximum`, and a watch
that hangs loses its hold within a minute, and the guard takes the weight to 0."""


@dataclass(frozen=True)
class Resources:
    """The resources of one kind of step, as Kubernetes writes quantities: what it is sure to get, and what it may use at most."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str


LIGHT = Resources("100m", "256Mi", "1", "1Gi")
"""For a step that reads and writes the record: such a process has about 110 MiB."""
WATCHING = Resources("200m", "256Mi", "1", "2Gi")
"""For a step that watches: it judges at each poll, and joins labels where the plan has some."""
COPYING = Resources("500m", "256Mi", "2", "2Gi")
"""For a step that copies a model and hashes it; files are not held in memory."""
COMPARING = Resources("500m", "512Mi", "2", "4Gi")
"""For a step that compares requests: drift over 20 million rows takes about 300 MiB."""
LOADING = Resources("1", "2Gi", "4", "9Gi")
"""For the step that loads candidate and stable: TensorFlow alone takes about 500 MiB. The limit is the plan's default
`validation.memory_mib` and a GiB; a submission by tfcanary sets it by its plan (`tfcanary.run.submit.remote_run`)."""


def configure(task: dsl.PipelineTask, label: str, resources: Resources = LIGHT, seconds: int = STEP) -> dsl.PipelineTask:
    """Give a step its name in the graph and its pod's settings; it is never cached, and its pod ends within `seconds`."""
    task.set_cpu_request(resources.cpu).set_memory_request(resources.memory)
    task.set_cpu_limit(resources.cpu_limit).set_memory_limit(resources.memory_limit)
    # With Kubeflow's own defaults (no privileges, no capabilities, seccomp) this is what the Pod Security Standard `restricted` asks.
    # Which user it is the image says.
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    # Labels take no parameters: the model's name is in the run's name and in its parameters.
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "tfcanary")
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", "step")
    # Istio's proxy would run on after the step's end, and so would the pod.
    kubernetes.add_pod_label(task, "sidecar.istio.io/inject", "false")
    kubernetes.use_secret_as_volume(task, S3_SECRET, S3_SECRETS, optional=True)
    kubernetes.set_timeout(task, seconds)
    task.set_env_variable(PACKAGE, __version__)
    return task.set_caching_options(False).set_display_name(label)


def configure_watch(task: dsl.PipelineTask, label: str) -> dsl.PipelineTask:
    """Configure a step that watches: its pod may run for weeks and has a label by which Prometheus finds it."""
    kubernetes.add_pod_label(task, WATCHES, "true")
    return mount_metrics_credentials(configure(task, label, WATCHING, WATCH))


def mount_metrics_credentials(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Mount the namespace's credentials for Prometheus, for a step that queries it."""
    return kubernetes.use_secret_as_volume(task, METRICS_SECRET, METRICS_SECRETS, optional=True)


def mount_receivers(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Mount the namespace's secret addresses of receivers, for a step that notifies people; a step that loads models has none."""
    return kubernetes.use_secret_as_volume(task, SECRET, SECRETS, optional=True)


def mount_signing_key(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Mount the key that signs verdicts, for the step that promotes; a step that loads models has none."""
    return kubernetes.use_secret_as_volume(task, SIGNING_SECRET, SIGNING_SECRETS, optional=True)
