"""Whether the namespace's quotas leave room for the servers of a release: asked before its first write.

A quota with scopes holds for some pods only, and is left to the API server, which then forbids the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.core.errors import Refused

# The client's own reader of quantities takes two seconds to import.
QUANTITY = re.compile(r"([+-]?\d+\.?\d*|[+-]?\.\d+)(?:[eE]([+-]?\d+)|([KMGTPE]i)|([numkMGTPE]))?")
POWERS_OF_TEN = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
POWERS_OF_1024 = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
PODS = ("pods", "count/pods")

Amounts = Mapping[str, Decimal]


def number_of(quantity: str) -> Decimal:
    """A quantity as Kubernetes writes it, for example `500m` or `2Gi`. Raises ValueError for another text."""
    found = QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"quantity {quantity!r}: is not written as Kubernetes does, for example 500m or 2Gi")
    number, exponent, binary, decimal = found.groups()
    power = int(exponent) if exponent else POWERS_OF_TEN.get(decimal or "", 0)
    return Decimal(number).scaleb(power) * Decimal(1024) ** POWERS_OF_1024.get(binary or "", 0)


def needs(template: Json) -> dict[str, Decimal]:
    """What one pod of a template counts against a quota, by the quota's names: pods, and the sums of its requests and limits."""
    spec = template["spec"]
    found = dict.fromkeys(PODS, Decimal(1))
    for kind in ("requests", "limits"):
        running, starting = _sums(spec["containers"], kind), [_sums([one], kind) for one in spec.get("initContainers") or ()]
        for name in {*running, *(name for one in starting for name in one)}:
            amount = max([running.get(name, Decimal(0)), *(one.get(name, Decimal(0)) for one in starting)])
            found[f"{kind}.{name}"] = amount
            if kind == "requests":
                found[name] = amount
    return found


def _sums(containers: Sequence[Json], kind: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in containers:
        for name, quantity in ((one.get("resources") or {}).get(kind) or {}).items():
            found[name] = found.get(name, Decimal(0)) + number_of(str(quantity))
    return found


def check(quotas: Sequence[Json], namespace: str, pods: int, each: Amounts) -> None:
    """Raises Refused, naming the first quota that does not leave room for so many more pods, with what is missing."""
    for text in _short(quotas, pods, each):
        raise Refused(
            f"ResourceQuota in namespace {namespace}: {text}; the largest stage and the promotion need {pods} more pods of servers"
        )


def _short(quotas: Sequence[Json], pods: int, each: Amounts) -> Iterator[str]:
    for quota in quotas:
        spec, status = quota["spec"], quota.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for name, hard in (spec.get("hard") or {}).items():
            used = str((status.get("used") or {}).get(name, "0"))
            if name in each and number_of(used) + pods * each[name] > number_of(str(hard)):
                yield f"{quota['metadata']['name']} allows {name} {hard}, and {used} is used"
