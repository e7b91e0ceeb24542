"""Checks of nodes that are pinned to devices, and of constants that take more memory than they take in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning
from tfcanary.look.savedmodel.reach import Root, reachable
from tfcanary.look.savedmodel.variables import SIZES

ANYWHERE = re.compile(r"(/job:localhost)?(/replica:0)?(/task:0)?(/(device:)?cpu:(\*|0))?", re.IGNORECASE)
"""The devices that every server has."""
UNFOLDED = 2**28
"""Largest number of bytes in memory that constants may take beyond the bytes that are stored for them."""


def check_devices(case: Case) -> Evidence:
    """Check that no node is pinned to a device that a server lacks: TF Serving does not place such a node elsewhere."""
    pinned = [(function, node) for function, node in case.facts.all_nodes() if not _is_available(node.device, case.plan.devices)]
    if not pinned:
        return evidence("devices", [], "no operation is pinned to a device that a server lacks")
    places = reachable(case.facts)
    served = [node for function, node in pinned if any((function, node.name) in places[root] for root in Root if root is not Root.SAVE)]
    return evidence("devices", [_problem(served, failure) if served else _problem([node for _, node in pinned], warning)], "")


def _is_available(device: str, devices: tuple[str, ...]) -> bool:
    parts = [part for part in device.upper().split("/") if part.startswith(("DEVICE:", "GPU:", "TPU:"))]
    kind = parts[0].removeprefix("DEVICE:").partition(":")[0] if parts else ""
    return ANYWHERE.fullmatch(device) is not None or (kind in devices and "/JOB:" not in device.upper().replace("/JOB:LOCALHOST", ""))


def _problem(nodes: list[Node], severity: Callable[[str], Problem]) -> Problem:
    others = f" and {len(nodes) - 1} others" if len(nodes) > 1 else ""
    return severity(f"node {quote(nodes[0].name)}{others} must run on {quote(nodes[0].device)}: a server without it cannot load the model")


def check_constants(case: Case) -> Evidence:
    """Check that the constants take about as many bytes in memory as are stored for them."""
    return evidence("constants", _oversized(case.facts), "the constants take no more memory than is stored for them")


def _oversized(facts: SavedModelFacts) -> Iterator[Problem]:
    total = 0
    for _, node in facts.all_nodes():
        if node.constant is None:
            continue
        if node.constant.shape is None or None in node.constant.shape:
            yield failure(f"constant {quote(node.name)} has no definite shape")
            continue
        declared = math.prod(size or 0 for size in node.constant.shape) * SIZES.get(node.constant.dtype, 8)
        if node.constant.content is not None and node.constant.dtype in SIZES and node.constant.content != declared:
            yield failure(f"constant {quote(node.name)}: {node.constant.content:,} bytes are stored for {_bytes(declared)}")
        total += max(0, declared - node.constant.stored)
        if total > UNFOLDED:
            yield failure(f"constant {quote(node.name)}: {node.constant.stored:,} bytes in the file become {_bytes(declared)} in memory")
            return


def _bytes(count: int) -> str:
    return f"{count:,} bytes" if count < 10**15 else f"10^{math.log10(count):.0f} bytes"
