"""The abilities of routers, and the refusal, by name, of traffic that a router cannot make."""

from __future__ import annotations

from collections.abc import Set
from enum import StrEnum

from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Refused


class Ability(StrEnum):
    """One thing that a router can do."""

    WEIGHTS = "give the canary a share of users' requests"
    BASELINE = "give a baseline a share of users' requests"
    MIRROR = "mirror users' requests to the canary"
    PREVIEW = "lead testers' requests to a preview"
    STICKY = "keep a user on one track"
    GRPC = "divide gRPC requests"


def check_able(kind: str, abilities: Set[Ability], traffic: Traffic) -> None:
    """Raises Refused, naming router and ability, for traffic that the router called `kind` in the plan cannot make."""
    needs = {
        Ability.WEIGHTS: traffic.canary > 0,
        Ability.BASELINE: traffic.baseline > 0,
        Ability.MIRROR: traffic.mirror > 0,
        Ability.PREVIEW: traffic.preview,
    }
    for ability, needed in needs.items():
        if needed and ability not in abilities:
            raise Refused(f"traffic.router `{kind}`: cannot {ability.value}")
