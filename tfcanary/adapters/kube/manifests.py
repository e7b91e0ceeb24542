"""The objects of a model, made by pure functions: the deployer writes what they return, and a stamp.

TensorFlow Serving reads no S3. A version that lies there is copied by an init container, in tfcanary's image, into a volume of the pod,
and compared with its digest: the server starts only over the bytes that were validated.

Pods run without root, without a writable root, without privileges and without a token. A model server ignores SIGTERM
and serves on until it is killed: its grace period is the time that the last requests have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tfcanary.adapters.kube.pod_patch import PULL, SERVER, apply_patch, shared_volume
from tfcanary.adapters.kube.serving_flags import FOLDER, PULLED, files, flags, is_pulled, short_hash
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import AUTOSCALERS, CONFIG_MAPS, DEPLOYMENTS, DISRUPTION_BUDGETS, SERVICES, Resource
from tfcanary.adapters.routing.entrances import SERVICE_PORTS
from tfcanary.core.domain import ModelVersion, Pool, RunningPool, Track
from tfcanary.core.plan import BucketPlan, Plan, ScalingPlan, ServingPlan
from tfcanary.core.plan.cluster import DISABLED, METRICS_SECRET, METRICS_SECRETS, S3_SECRET, S3_SECRETS
from tfcanary.core.plan.receivers import SECRET, SECRETS

URI = "tfcanary.dev/uri"
"""Annotation: the directory that a version was deployed from."""
RUN_ID = "tfcanary.dev/run-id"
"""Annotation: the release that a guard guards."""
TEMPLATE = "tfcanary.dev/template"
"""Annotation: a hash of the pods' template as the plan has it, by which servers of another plan are told from this plan's."""
COMMAND = ["/usr/bin/tensorflow_model_server"]
"""Not the image's own script: Kubernetes would stop the script's shell, and not the server."""
USER = 1000
GUARD_USER = 65532
GUARD_GRACE = 5
"""Seconds until a guard that ends is killed: Python, as the first process of its container, does not end at SIGTERM."""
GRACE = 30
"""Seconds until a pod that ends is killed: by then no proxy sends to it any more, and TF Serving gives one request 30 s."""
STARTUP_PERIOD = 2
"""Seconds between two probes whether a server has loaded: its ports open when it has."""
READY_PERIOD = 5
TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 the container's own
VERSION = "version"
"""The volume of a pod's own copy of a version. It is as old as the pod, so no other pod's copy is in it."""

Json = dict[str, Any]


def config_map(model: str, pool: RunningPool, serving: ServingPlan) -> Json:
    """The configuration of a pool's servers. Its name has a hash of its content: another content is another object, and another revision."""
    content = files(model, pool.version, serving)
    metadata = _metadata(f"{object_names.deployment(model, pool.pool)}-{short_hash(content)}", pool_labels(model, pool.pool))
    return {**_head(CONFIG_MAPS), "metadata": metadata, "immutable": True, "data": content}


def deployment(model: str, pool: RunningPool, plan: Plan, image: str = "") -> Json:
    """The servers of a pool, as many as its least number. Raises Refused where the plan's patch touches what the release rests on.

    `image` is tfcanary's own, for a version that is copied into the pods (`is_pulled`). The hash of the template does not contain it: it
    is the step's, which the next release's step cannot know.
    """
    labels = pool_labels(model, pool.pool)
    metadata = _metadata(object_names.deployment(model, pool.pool), labels)
    planned, template = (apply_patch(_server_template(model, pool, plan, one), plan.serving.pod_patch) for one in ("", image))
    spec = {
        "replicas": pool.least,
        "selector": {"matchLabels": object_names.selector(model, pool.pool)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": math.ceil(plan.deploy.ready_timeout.total_seconds()),
        "template": template,
    }
    annotations = {object_names.DIGEST: pool.version.digest, URI: pool.version.uri, TEMPLATE: short_hash(planned)}
    return {**_head(DEPLOYMENTS), "metadata": {**metadata, "annotations": annotations}, "spec": spec}


def disruption_budget(model: str, pool: Pool) -> Json:
    """The budget of a pool's pods: a drain evicts one at a time, and at once those that do not serve. Without pods it stops nobody."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": object_names.selector(model, pool)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return {
        **_head(DISRUPTION_BUDGETS),
        "metadata": _metadata(object_names.deployment(model, pool), pool_labels(model, pool)),
        "spec": spec,
    }


def autoscaler(model: str, wanted: RunningPool, scaling: ScalingPlan) -> Json:
    """The autoscaler of a pool's Deployment."""
    name = object_names.deployment(model, wanted.pool)
    spec = {
        "scaleTargetRef": {**_head(DEPLOYMENTS), "name": name},
        "minReplicas": wanted.least,
        "maxReplicas": max(scaling.max, wanted.least),
        **({"metrics": [dict(one) for one in scaling.metrics]} if scaling.metrics else {}),
        "behavior": scaling_behavior(scaling.behavior, wanted.held),
    }
    return {**_head(AUTOSCALERS), "metadata": _metadata(name, pool_labels(model, wanted.pool)), "spec": spec}


def scaling_behavior(given: Mapping[str, object], held: bool) -> Json:
    """An autoscaler's behavior, which makes a pool that is held no smaller. Without a policy Kubernetes takes the largest change."""
    down = given.get("scaleDown")
    return {**given, "scaleDown": {**(down if isinstance(down, Mapping) else {}), "selectPolicy": DISABLED if held else "Max"}}


def owned(body: Json, deployment: Json) -> Json:
    """An object that Kubernetes removes together with a Deployment."""
    owner = {**_head(DEPLOYMENTS), "name": deployment["metadata"]["name"], "uid": deployment["metadata"]["uid"]}
    return {**body, "metadata": {**body["metadata"], "ownerReferences": [owner]}}


def service(model: str, track: Track, selector: Mapping[str, str], serving: ServingPlan) -> Json:
    """The Service of a track, over the pods that `selector` names by their labels."""
    spec = {
        "type": serving.service_type.value,
        "sessionAffinity": "None",
        "selector": dict(selector),
        "ports": [*SERVICE_PORTS],
    }
    return {
        **_head(SERVICES),
        "metadata": _metadata(object_names.service(model, track), object_names.labels(model, "server")),
        "spec": spec,
    }


def guard(model: str, namespace: str, run_id: str, plan: Plan, image: str) -> Json:
    """The guard of a release. A bucket that is a directory is mounted as in the servers."""
    labels = object_names.labels(model, "guard")
    metadata = {**_metadata(object_names.guard(model), labels), "annotations": {RUN_ID: run_id}}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {object_names.MODEL: model, "app.kubernetes.io/component": "guard"}},
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 1,
        "template": _guard_template(labels, model, namespace, run_id, plan, image),
    }
    return {**_head(DEPLOYMENTS), "metadata": metadata, "spec": spec}


def pool_labels(model: str, pool: Pool) -> dict[str, str]:
    """The labels of everything that belongs to one pool."""
    return {**object_names.labels(model, "server"), object_names.VERSION: str(pool.number), object_names.ROLE: pool.role.value}


def literal(text: str) -> str:
    """A text that reaches the program as it is: Kubernetes expands `$(...)` in commands, and reads `$$` as `$`."""
    return text.replace("$", "$$")


def _head(resource: Resource) -> Json:
    return {"apiVersion": resource.api, "kind": resource.kind}


def _metadata(name: str, labels: Mapping[str, str]) -> Json:
    return {"name": name, "labels": dict(labels)}


def _server_template(model: str, pool: RunningPool, plan: Plan, image: str) -> Json:
    config = config_map(model, pool, plan.serving)["metadata"]["name"]
    volumes: list[Json] = [{"name": "config", "configMap": {"name": config}}, {"name": "tmp", "emptyDir": {}}]
    spec = {**_pod(USER), "terminationGracePeriodSeconds": GRACE, "automountServiceAccountToken": False}
    server = _server(plan)
    if is_pulled(pool.version.uri):
        volume, mount = _s3()
        volumes += [{"name": VERSION, "emptyDir": {}}, volume]
        server["volumeMounts"].append({"name": VERSION, "mountPath": PULLED, "readOnly": True})
        spec["initContainers"] = [_pull(pool.version, image, mount)]
    if plan.serving.topology_spread:
        over = {"labelSelector": {"matchLabels": object_names.selector(model, pool.pool)}}
        spec["topologySpreadConstraints"] = [{**over, **one} for one in plan.serving.topology_spread]
    return {"metadata": {"labels": pool_labels(model, pool.pool)}, "spec": {**spec, "containers": [server], "volumes": volumes}}


def _pull(version: ModelVersion, image: str, credentials: Json) -> Json:
    """The init container that copies a version into the pod; Kubernetes runs it again where it fails, later and later."""
    return {
        "name": PULL,
        "image": image,
        "command": ["python", "-m", "tfcanary", "pull", literal(version.uri), "--digest", version.digest, "--into", PULLED],
        **_own_container("100m"),
        "volumeMounts": [TMP, {"name": VERSION, "mountPath": PULLED}, credentials],
    }


def _own_container(cpu: str) -> Json:
    """What a container in tfcanary's own image has beside its command and its volumes; `cpu` is what it requests."""
    return {
        "env": [{"name": "HOME", "value": TMP["mountPath"]}],
        # Its last line is the sentence that says why it ended.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": cpu, "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": _contained(),
    }


def _server(plan: Plan) -> Json:
    serving = plan.serving
    opens = {"tcpSocket": {"port": "grpc"}, "timeoutSeconds": 2}
    return {
        "name": SERVER,
        "image": serving.image,
        "command": COMMAND,
        "args": flags(serving).arguments(),
        "ports": [
            {"name": "rest", "containerPort": object_names.REST, "protocol": "TCP"},
            {"name": "grpc", "containerPort": object_names.GRPC, "protocol": "TCP"},
        ],
        # A GET would count among the requests that the judge looks at; a connection does not.
        "startupProbe": {**opens, "periodSeconds": STARTUP_PERIOD, "failureThreshold": _tries(plan.deploy.ready_timeout)},
        "readinessProbe": {**opens, "periodSeconds": READY_PERIOD, "failureThreshold": 2},
        # A server that cannot load its model ends, and its last lines say why.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": serving.cpu, "memory": serving.memory}, "limits": {"memory": serving.memory}},
        "securityContext": _contained(),
        "volumeMounts": [{"name": "config", "mountPath": FOLDER, "readOnly": True}, TMP],
    }


def _tries(lasts: timedelta) -> int:
    return max(math.ceil(lasts.total_seconds() / STARTUP_PERIOD), 1)


def _guard_template(labels: Mapping[str, str], model: str, namespace: str, run_id: str, plan: Plan, image: str) -> Json:
    command = ["python", "-m", "tfcanary", "guard", "--platform", f"kube://{namespace}", "--model", model, f"--run-id={literal(run_id)}"]
    command += ["--metrics-port", str(object_names.METRICS)]
    # What a watch reads beside the bucket, such as labels, may lie in S3, too.
    mounted = [*_shared(plan.bucket, plan.serving.pod_patch), _s3()]
    if plan.notify:
        mounted.append(_secret("notify", SECRET, SECRETS))
    if plan.metrics.files:
        mounted.append(_secret("metrics", METRICS_SECRET, METRICS_SECRETS))
    container = {
        "name": "guard",
        "image": image,
        "command": command,
        **_own_container("50m"),
        "ports": [{"name": "metrics", "containerPort": object_names.METRICS, "protocol": "TCP"}],
        "volumeMounts": [TMP, *(mount for _, mount in mounted)],
    }
    spec = {
        **_pod(GUARD_USER),
        "terminationGracePeriodSeconds": GUARD_GRACE,
        "serviceAccountName": plan.guard.service_account,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *(volume for volume, _ in mounted)],
    }
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def _shared(bucket: BucketPlan, patch: Mapping[str, object]) -> list[tuple[Json, Json]]:
    """The volume of a bucket that is a directory, and its mount; the guard writes there, even where servers only read."""
    found = shared_volume(patch, bucket.canary) if bucket.canary.startswith("/") else None
    if found is None:
        return []
    volume, mount = found
    return [(volume, {name: value for name, value in mount.items() if name != "readOnly"})]


def _s3() -> tuple[Json, Json]:
    return _secret("s3", S3_SECRET, S3_SECRETS)


def _secret(name: str, secret: str, folder: str) -> tuple[Json, Json]:
    """The volume of a Secret of the namespace, which need not exist, and its mount."""
    volume = {"name": name, "secret": {"secretName": secret, "optional": True}}
    return volume, {"name": name, "mountPath": folder, "readOnly": True}


def _pod(user: int) -> Json:
    security = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": security}


def _contained() -> Json:
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
