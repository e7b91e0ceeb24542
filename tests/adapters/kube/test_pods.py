"""What the API server says about pods, read as servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tfcanary.adapters.kube import pods

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def pod(name: str = "m-v2-a", phase: str = "Running", age: float = 10, ready: bool = True, **container: Any) -> dict[str, Any]:
    state = {"name": "server", "restartCount": 0, "state": {"running": {}}, **container}
    began = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "podIP": "10.1.2.3", "startTime": began, "conditions": conditions, "containerStatuses": [state]}
    return {"metadata": {"name": name}, "status": status}


def deployment(replicas: int = 1, updated: int = 1, total: int | None = None, **status: Any) -> dict[str, Any]:
    shown = {"observedGeneration": 4, "updatedReplicas": updated, "replicas": updated if total is None else total, **status}
    return {"metadata": {"name": "m-v2", "generation": 4}, "spec": {"replicas": replicas}, "status": shown}


def waiting(reason: str, message: str = "as it is") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def dead(times: int, **more: Any) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": 255, "reason": "Error", "message": "Op type not registered 'X'"}}
    return {"restartCount": times - 1, "lastState": ended, **waiting("CrashLoopBackOff"), **more}


def test_a_running_pod_is_asked_where_its_ports_are() -> None:
    found = pods.server(pod(), NOW)
    assert (found.rest, found.grpc) == ("http://10.1.2.3:8501", "10.1.2.3:8500")
    assert (found.available, found.failed, found.silent) == (False, False, True)
    six = pod()
    six["status"]["podIP"] = "fd00::1"
    assert pods.server(six, NOW).grpc == "[fd00::1]:8500"


def test_a_pod_that_is_not_ready_has_no_excuse_for_being_silent() -> None:
    assert not pods.server(pod(ready=False), NOW).silent


def test_a_server_that_ended_once_may_come_back_and_twice_has_failed_with_its_own_words() -> None:
    once, twice = pods.server(pod(**dead(1)), NOW), pods.server(pod(**dead(2)), NOW)
    assert not once.failed
    assert twice.failed
    assert "Op type not registered 'X'" in twice.message
    assert "exit code 255, 2 times so far" in twice.message


def test_a_server_that_runs_again_is_asked_whatever_was_before() -> None:
    again = pods.server(pod(**{**dead(3), "state": {"running": {}}}), NOW)
    assert (again.message, again.failed) == ("", False)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_may_come_for_a_minute_and_then_has_failed(reason: str) -> None:
    young, old = (pods.server(pod(phase="Pending", age=age, **waiting(reason)), NOW) for age in (10, 61))
    assert (young.failed, old.failed) == (False, True)
    assert old.message == f"{reason}: as it is"


def test_an_image_without_a_possible_name_has_failed_at_once() -> None:
    assert pods.server(pod(phase="Pending", age=0, **waiting("InvalidImageName")), NOW).failed


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError"])
def test_what_an_administrator_may_still_repair_is_the_message(reason: str) -> None:
    found = pods.server(pod(phase="Pending", age=1000, **waiting(reason)), NOW)
    assert (found.failed, found.message) == (False, f"{reason}: as it is")


def test_a_pod_that_fits_on_no_node_is_the_message() -> None:
    one = pod(phase="Pending")
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}
    one["status"].update(conditions=[full], containerStatuses=None, podIP=None)
    found = pods.server(one, NOW)
    assert (found.failed, found.message) == (False, "Unschedulable: 0/2 nodes are available")


def test_a_pod_that_only_starts_is_no_trouble() -> None:
    found = pods.server(pod(phase="Pending", **waiting("ContainerCreating")), NOW)
    assert (found.failed, found.message, found.grpc) == (False, "the pod is pending", "")


def initial(**container: Any) -> dict[str, Any]:
    """A pod whose init container is in this state."""
    one = pod(phase="Pending", ready=False, **waiting("PodInitializing"))
    one["status"]["initContainerStatuses"] = [{"name": "pull", "restartCount": 0, **container}]
    return one


def test_a_pod_whose_init_container_runs_says_so() -> None:
    found = pods.server(initial(state={"running": {}}), NOW)
    assert (found.failed, found.message) == (False, "its init container pull runs")


def test_an_init_container_that_failed_twice_has_failed_with_its_last_sentence() -> None:
    said = "tfcanary: s3://b/m/7: has the digest sha256:1, and sha256:2 was validated"
    ended = {"terminated": {"exitCode": 2, "reason": "Error", "message": said}}
    once, twice = (pods.server(initial(restartCount=times, lastState=ended, **waiting("CrashLoopBackOff")), NOW) for times in (0, 1))
    assert (once.failed, twice.failed) == (False, True)
    assert twice.message == f"Error: {said}; exit code 2, 2 times so far"


def test_an_init_container_that_has_done_its_work_is_no_trouble() -> None:
    done = initial(state={"terminated": {"exitCode": 0, "reason": "Completed"}})
    assert pods.server(done, NOW).message == "the pod is pending"


def test_ending_and_ended_pods_are_not_counted() -> None:
    ending = pod("a")
    ending["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    found = pods.servers(deployment(), [ending, pod("b", phase="Failed"), pod("c")], NOW)
    assert [one.name for one in found] == ["c"]


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (deployment(replicas=3, updated=1), "1 of 3 pods are there"),
        (deployment(updated=1, observedGeneration=3), "1 of 1 pods are there"),
        (deployment(updated=1, total=2), "1 pods of its former template have not ended"),
        ({**deployment(), "status": {}}, "0 of 1 pods are there"),
    ],
)
def test_an_incomplete_rollout_is_a_server_that_is_not_available(shown: dict[str, Any], message: str) -> None:
    *others, last = pods.servers(shown, [pod()], NOW)
    assert [one.name for one in others] == ["m-v2-a"]
    assert (last.name, last.available, last.failed, last.message) == ("m-v2", False, False, message)


def test_a_complete_rollout_is_its_pods_alone() -> None:
    assert [one.name for one in pods.servers(deployment(replicas=2, updated=2), [pod("b"), pod("a")], NOW)] == ["a", "b"]


@pytest.mark.parametrize(
    ("message", "failed"),
    [
        ('pods "m-v2-a" is forbidden: exceeded quota: compute', True),
        ("Internal error occurred: failed calling webhook: context deadline exceeded", False),
    ],
)
def test_pods_that_may_not_be_are_failed_and_those_that_could_not_be_asked_for_are_not(message: str, failed: bool) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    (found,) = pods.servers(deployment(updated=0, conditions=[condition]), [], NOW)
    assert (found.failed, found.message) == (failed, f"FailedCreate: {message}")
