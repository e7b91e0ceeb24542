"""Alertmanager's webhook: an alert that fires while a release is on the road may end it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfcanary.act import rollback
from tfcanary.core.errors import Refused
from tfcanary.core.record import Release
from tfcanary.run import steps
from tfcanary.run.trigger.events import document, instant

MOST = 200
"""Alerts of one call: Alertmanager groups them, and each may be a question to the platform."""
NAMED = re.compile(r"[A-Za-z0-9_:./ -]{1,100}")
"""An alert's name as it may be written into the record; another one is called "an alert"."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a call, as far as it counts."""

    model: str
    run_id: str
    name: str
    firing: bool
    began: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """What an alert came to: `rolled back` or `ignored`, and why."""

    answer: str
    reason: str


def read(body: bytes) -> tuple[Alert, ...]:
    """The alerts of a call, those that are resolved too; raises Refused where it is none of version 4."""
    said = document(body)
    if not isinstance(said, Mapping) or said.get("version") != "4":
        raise Refused("body: is no call of Alertmanager's webhook, version 4")
    alerts = said.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MOST:
        raise Refused(f"alerts: must be a list of at most {MOST}")
    return tuple(_alert(one, f"alerts[{i}]") for i, one in enumerate(alerts))


def _alert(said: Any, at: str) -> Alert:
    if not isinstance(said, Mapping) or not isinstance(said.get("labels"), Mapping):
        raise Refused(f"{at}.labels: is no JSON object")
    labels = {key: value if isinstance(value, str) else "" for key, value in said["labels"].items()}
    if said.get("status") not in ("firing", "resolved"):
        raise Refused(f"{at}.status: must be firing or resolved")
    began = instant(said.get("startsAt"), f"{at}.startsAt")
    name = labels.get("alertname", "")
    shown = name if NAMED.fullmatch(name) else "an alert"
    return Alert(labels.get("model", ""), labels.get("run_id", ""), shown, said["status"] == "firing", began)


def act(alert: Alert, platform_uri: str, models: Mapping[str, Any]) -> Reply:
    """Roll back the release that was on the road when the alert began; may be repeated. Raises Unavailable, and is then to be sent again."""
    if not alert.firing:
        return Reply("ignored", f"{alert.name} is resolved")
    if alert.model not in models:
        return Reply("ignored", f"{alert.name} carries the label of none of our models")
    step = steps.reopen_step(platform_uri, alert.model)
    release = step.record.active
    if reason := _not_meant(alert, release):
        return Reply("ignored", reason)
    assert release is not None
    ended = rollback.roll_back(step.platform, release.run_id, f"alert {alert.name} fires since {alert.began:%Y-%m-%d %H:%M:%S} UTC")
    return Reply("rolled back", f"{alert.model}: release {release.run_id} is {ended.state.value if ended else 'gone'}")


def _not_meant(alert: Alert, release: Release | None) -> str:
    """Why an alert says nothing about this release; empty where it does."""
    if release is None:
        return f"{alert.model}: no release is on the road"
    if alert.run_id and alert.run_id != release.run_id:
        return f"{alert.model}: {alert.name} is about another release than {release.run_id}"
    if release.began > alert.began:
        return f"{alert.model}: release {release.run_id} began after {alert.name} did"
    return ""
