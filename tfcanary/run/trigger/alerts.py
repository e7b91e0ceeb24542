"""Alertmanager's webhook: an alert that fires while a release is active may roll the release back."""

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
from tfcanary.run.trigger.events import parse_instant, parse_json

MOST = 200
"""Alerts of one call: Alertmanager groups them, and each may cost a call to the platform."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9_:./ -]{1,100}")
"""The form of an alert's name that is written into the record; an alert with another name is called "an alert"."""


@dataclass(frozen=True, slots=True)
class Alert:
    """The fields of one alert that the trigger uses."""

    model: str
    run_id: str
    name: str
    firing: bool
    began: datetime


@dataclass(frozen=True, slots=True)
class AlertResult:
    """What an alert led to: the word `rolled back` or `ignored`, and the reason."""

    word: str
    reason: str


def read(body: bytes) -> tuple[Alert, ...]:
    """Read all alerts of a call, the resolved ones too; raises Refused where the body is no call of Alertmanager's version 4."""
    call = parse_json(body)
    if not isinstance(call, Mapping) or call.get("version") != "4":
        raise Refused("body: is no call of Alertmanager's webhook, version 4")
    alerts = call.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MOST:
        raise Refused(f"alerts: must be a list of at most {MOST}")
    return tuple(_read_alert(one, f"alerts[{i}]") for i, one in enumerate(alerts))


def _read_alert(document: Any, at: str) -> Alert:
    if not isinstance(document, Mapping) or not isinstance(document.get("labels"), Mapping):
        raise Refused(f"{at}.labels: is no JSON object")
    labels = {key: value if isinstance(value, str) else "" for key, value in document["labels"].items()}
    if document.get("status") not in ("firing", "resolved"):
        raise Refused(f"{at}.status: must be firing or resolved")
    began = parse_instant(document.get("startsAt"), f"{at}.startsAt")
    name = labels.get("alertname", "")
    plain = name if PLAIN_NAME.fullmatch(name) else "an alert"
    return Alert(labels.get("model", ""), labels.get("run_id", ""), plain, document["status"] == "firing", began)


def apply(alert: Alert, platform_uri: str, models: Mapping[str, Any]) -> AlertResult:
    """Roll back the release that was active when the alert began; any other alert is ignored. It may be repeated.

    Raises Unavailable where the platform cannot be reached; the alert is then to be sent again.
    """
    if not alert.firing:
        return AlertResult("ignored", f"{alert.name} is resolved")
    if alert.model not in models:
        return AlertResult("ignored", f"{alert.name} carries the label of none of our models")
    step = steps.reopen_step(platform_uri, alert.model)
    release = step.record.active
    if release is None:
        return AlertResult("ignored", f"{alert.model}: no release is active")
    if reason := _why_ignored(alert, release):
        return AlertResult("ignored", f"{alert.model}: {reason}")
    ended = rollback.roll_back(step.platform, release.run_id, f"alert {alert.name} fires since {alert.began:%Y-%m-%d %H:%M:%S} UTC")
    return AlertResult("rolled back", f"{alert.model}: release {release.run_id} is {ended.state.value if ended else 'gone'}")


def _why_ignored(alert: Alert, release: Release) -> str:
    """Why an alert says nothing about this release; empty where it does."""
    if alert.run_id and alert.run_id != release.run_id:
        return f"{alert.name} is about another release than {release.run_id}"
    if release.began > alert.began:
        return f"release {release.run_id} began after {alert.name} did"
    return ""
