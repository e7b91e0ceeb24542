"""Quotas are read as Kubernetes means them: quantities, what a pod counts, and which quota leaves no room."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tfcanary.adapters.kube import quotas
from tfcanary.core.errors import Refused


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", "1"), ("500m", "0.5"), ("1.5", "1.5"), (".5", "0.5"), ("2Gi", str(2 * 1024**3)), ("128974848", "128974848"),
     ("129e6", "129000000"), ("129M", "129000000"), ("1k", "1000"), ("100u", "0.0001"), ("1E", "1e18"), ("1E3", "1000")],
)  # fmt: skip
def test_a_quantity_is_the_number_that_kubernetes_means(text: str, number: str) -> None:
    assert quotas.number_of(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1KiB", "one", "1Ki5"])
def test_another_text_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not written as Kubernetes does"):
        quotas.number_of(text)


def container(cpu: str, memory: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}}


def test_a_pod_counts_the_sum_of_its_containers_or_its_largest_init_container() -> None:
    spec = {"containers": [container("1", "1Gi"), container("500m", "1Gi")], "initContainers": [container("100m", "3Gi"), {"name": "x"}]}
    found = quotas.needs({"spec": spec})
    assert found["pods"] == found["count/pods"] == 1
    assert found["cpu"] == found["requests.cpu"] == Decimal("1.5")
    assert found["memory"] == found["requests.memory"] == found["limits.memory"] == 3 * 1024**3
    assert "limits.cpu" not in found


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"used": used}}


EACH = quotas.needs({"spec": {"containers": [container("2", "4Gi")]}})


def test_a_quota_with_room_for_just_so_many_passes() -> None:
    quotas.check([quota({"pods": "10", "requests.cpu": "20"}, {"pods": "6", "requests.cpu": "12"})], "models", 4, EACH)


@pytest.mark.parametrize(
    ("name", "hard", "used"),
    [("pods", "10", "7"), ("requests.cpu", "20", "12500m"), ("limits.memory", "40Gi", "24577Mi"), ("cpu", "7", "0")],
)
def test_a_quota_without_room_is_refused_by_name_with_what_is_used(name: str, hard: str, used: str) -> None:
    with pytest.raises(Refused, match=rf"namespace models: team allows {name} {hard}, and {used} is used; .* need 4 more pods"):
        quotas.check([quota({name: hard}, {name: used})], "models", 4, EACH)


def test_what_holds_for_other_pods_or_other_objects_says_nothing() -> None:
    for one in (quota({"pods": "0"}, {}, scopes=["BestEffort"]), quota({"services": "0", "requests.nvidia.com/gpu": "0"}, {})):
        quotas.check([one], "models", 4, EACH)
