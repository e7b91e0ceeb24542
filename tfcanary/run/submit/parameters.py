"""The parameters of a run of `canary_release`, and their size, which Kubeflow Pipelines limits."""

from __future__ import annotations

import json
from typing import Any

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

LARGEST = 10_000
"""Bytes of JSON that all parameters of a run may have together: the limit of Kubeflow's API server."""

Json = dict[str, Any]


def run_parameters(model_uri: str, model_name: str, platform: str, plan: Plan) -> Json:
    """Return the parameters of a release's run; of the plan they hold what differs from the defaults."""
    return {"model_uri": model_uri, "model_name": model_name, "platform": platform, "plan": codec.brief(plan)}


def check_size(parameters: Json, at: str = "plan") -> None:
    """Check that a KFP host takes the parameters; raises Refused naming the plan (`at`), its size and its largest part."""
    size = _bytes(parameters)
    if size <= LARGEST:
        return
    plan = parameters["plan"]
    largest = max(plan, key=lambda name: _bytes(plan[name]), default="")
    part = f"; its largest part is `{largest}` with {_bytes(plan[largest]):,}" if largest else ""
    raise Refused(
        f"{at}: has {_bytes(plan):,} bytes, and a run has {size:,} bytes of parameters; Kubeflow Pipelines takes {LARGEST:,} at most{part}"
    )


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
