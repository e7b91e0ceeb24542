"""Pods, as the API server describes them, turned into servers: pure. Whether a server has its version, only the server itself can say.

A server has failed for good where it ended twice while it should have started (it loads at its start and tries twice itself), where its
image could not be pulled for a minute or has an impossible name, and where a quota or a policy forbids the pod. Any other trouble (a node
that is full, a secret that is missing) may pass, and is the server's message until it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.ports import Server

DEATHS = 2
"""Ends of a server that has not come up, after which it has failed: one end may be a node's or a bucket's fault."""
PULLING = timedelta(seconds=60)
"""The time in which Kubernetes tries to pull an image about three times."""
NEVER_PULLED = ("InvalidImageName", "ErrImageNeverPull")
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")
FORBIDDEN = ("is forbidden", "is invalid")
"""Words with which the API server forbids a pod: by a quota, an admission policy, or a missing service account."""

Json = dict[str, Any]


def servers(deployment: Json, pods: Sequence[Json], now: datetime) -> tuple[Server, ...]:
    """A server for each pod that is not ending, and one that is not available where the rollout is incomplete.

    None of them is available yet: those with an address and without a message are to be asked.
    """
    alive = [pod for pod in pods if is_alive(pod)]
    found = [server(pod, now) for pod in sorted(alive, key=lambda pod: str(pod["metadata"]["name"]))]
    return (*found, *_missing(deployment, len(alive)))


def is_alive(pod: Json) -> bool:
    """Whether a pod is neither ending nor over: a pod that is over is replaced, and stays in the list."""
    return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def is_ready(pod: Json) -> bool:
    """Whether Kubernetes sends a pod requests."""
    return is_alive(pod) and any(one["type"] == "Ready" and one["status"] == "True" for one in _status(pod, "conditions"))


def server(pod: Json, now: datetime) -> Server:
    """The server in one pod: with its addresses where it has some, and with what is wrong in Kubernetes' words.

    It is `silent` where Kubernetes takes it for ready: should it not answer us in time, nothing may be concluded.
    """
    name, ip = str(pod["metadata"]["name"]), str(pod["status"].get("podIP") or "")
    message, failed = next(_troubles(pod, now), ("", False))
    if not ip or pod["status"].get("phase") != "Running":
        return Server(name=name, rest="", grpc="", available=False, message=message or _phase(pod), failed=failed)
    host = f"[{ip}]" if ":" in ip else ip
    rest, grpc = f"http://{host}:{object_names.REST}", f"{host}:{object_names.GRPC}"
    return Server(name, rest, grpc, available=False, message=message, failed=failed, silent=is_ready(pod))


def _troubles(pod: Json, now: datetime) -> Iterator[tuple[str, bool]]:
    """What is wrong with a pod, and whether for good."""
    for condition in _status(pod, "conditions"):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _reason_and_message(condition), False
    for status in (*_status(pod, "initContainerStatuses"), *_status(pod, "containerStatuses")):
        waiting = (status.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") in (*NEVER_PULLED, *NOT_PULLED):
            yield _reason_and_message(waiting), waiting["reason"] in NEVER_PULLED or _age(pod, now) > PULLING
        elif ended := _end_state(status):
            deaths = status.get("restartCount", 0) + 1
            yield f"{_reason_and_message(ended)}; exit code {ended.get('exitCode')}, {deaths} times so far", deaths >= DEATHS
        elif waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            yield _reason_and_message(waiting), False


def _end_state(status: Json) -> Json | None:
    """The state in which a container ended; None where it runs, has not run yet or has done its work."""
    state = status.get("state") or {}
    if "running" in state:
        return None
    ended: Json | None = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    return ended if ended and ended.get("exitCode") != 0 else None


def _missing(deployment: Json, alive: int) -> Iterator[Server]:
    name, wanted = str(deployment["metadata"]["name"]), int(deployment["spec"].get("replicas", 1))
    status = deployment.get("status") or {}
    refused = next((one for one in status.get("conditions") or () if one["type"] == "ReplicaFailure" and one["status"] == "True"), None)
    updated = int(status.get("updatedReplicas", 0))
    if alive < wanted and refused:
        message = _reason_and_message(refused)
        yield Server(name, "", "", available=False, message=message, failed=any(word in message for word in FORBIDDEN))
    elif status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0) or min(updated, alive) < wanted:
        yield Server(name, "", "", available=False, message=f"{min(updated, alive)} of {wanted} pods are there")
    elif status.get("replicas", 0) > updated:
        yield Server(name, "", "", available=False, message=f"{status['replicas'] - updated} pods of its former template have not ended")


def _status(pod: Json, name: str) -> Sequence[Json]:
    return (pod.get("status") or {}).get(name) or ()


def _phase(pod: Json) -> str:
    for status in _status(pod, "initContainerStatuses"):
        if "running" in (status.get("state") or {}):
            return f"its init container {status['name']} runs"
    return f"the pod is {str(pod['status'].get('phase') or 'Pending').lower()}"


def _reason_and_message(what: Json) -> str:
    """Reason and message of a condition or a state, in Kubernetes' words."""
    return ": ".join(" ".join(str(what[key]).split()) for key in ("reason", "message") if what.get(key))


def _age(pod: Json, now: datetime) -> timedelta:
    began = pod["status"].get("startTime") or pod["metadata"].get("creationTimestamp")
    return now - datetime.fromisoformat(began) if began else timedelta(0)
