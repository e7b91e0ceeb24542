"""Finds where a plan differs from the defaults, and where the difference makes a passed release prove less than it usually does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from tfcanary.core import codec
from tfcanary.core.plan import Plan, Stage
from tfcanary.core.plan.weights import OWN
from tfcanary.report.numbers import duration, plain


@dataclass(frozen=True, slots=True)
class Departure:
    """A field of the plan whose value is not the default."""

    field: str
    """The path of the field, for example `judge.errors.margin`."""
    default: str
    here: str
    """The value in this plan."""
    effect: str
    """How the value was changed, for example `shortened`; empty where the change is neither weaker nor stronger."""
    weaker: bool
    """True where the release accepts more, or measures less, than by default."""


# Fields where a smaller value, or a larger one, makes the release accept more or measure less.
_SMALLER = {
    "stage.minimum", "stage.samples", "judge.alpha", "judge.minimum_time", "judge.minimum_requests", "judge.freeze_requests", "judge.guards.least_share",
    "predictions.limit", "validation.golden_limit", "drift.alpha",
}  # fmt: skip
_LARGER = {
    "stage.poll", "judge.alpha_promote", "judge.settle", "judge.warmup", "judge.warmup_maximum", "judge.errors.tolerance", "judge.errors.tolerance_absolute",
    "judge.errors.margin", "judge.errors.margin_absolute", "judge.latency.tolerance", "judge.latency.margin",
    "judge.latency.tail_tolerance", "judge.latency.tail_share_margin", "judge.quality.tolerance", "judge.quality.margin",
    "judge.classes.tolerance", "judge.guards.outage", "judge.guards.crash_after", "judge.guards.silence_after",
    "judge.guards.silence_expected", "predictions.accuracy_margin", "validation.accuracy_margin", "drift.warn",
    "drift.fail", "deploy.handover", "deploy.lease", "deploy.heartbeat",
}  # fmt: skip
_WEAKER = {("stage.on_undecided", "promote"): "promotes on too few requests", ("bootstrap", "true"): "nothing to compare with"}
_LIMITS = ("tolerance", "margin", "absolute", "outage", "warn", "fail")


_WRITTEN_ELSEWHERE = {"training_data", "commit", "training_run", "stages"}
"""What the plan tells of the candidate, which has a section of its own; and the stages, whose own values stand one by one."""


def departures(plan: Plan) -> tuple[Departure, ...]:
    """Return all fields whose value is not the default, in the order of the plan; without those that only tell of the candidate."""
    own = (one for number, stage in enumerate(plan.stages) for one in _of_stage(plan, number, stage))
    return (*(one for one in _departures_of(plan, "") if one.field not in _WRITTEN_ELSEWHERE), *own)


def _of_stage(plan: Plan, number: int, stage: Stage) -> Iterator[Departure]:
    """Yield where a stage has a value of its own that is not the plan's `stage`."""
    for name in OWN:
        here, usual = getattr(stage, name), getattr(plan.stage, name)
        if here is not None and here != usual:
            one = _departure(f"stage.{name}", usual, here)
            yield replace(one, field=f"weights[{number}].{name}")


def _departures_of(part: Any, prefix: str) -> Iterator[Departure]:
    """Yield the departures of one part of the plan; `prefix` is the path of the part with a dot at its end."""
    for one in fields(part):
        path, value, default = f"{prefix}{one.name}", getattr(part, one.name), _default(one)
        if is_dataclass(value):
            if default is None:
                yield Departure(path, "absent by plan", "requested", "", weaker=False)
            yield from _departures_of(value, f"{path}.")
        elif is_dataclass(default):
            yield Departure(path, "requested", "absent by plan", "not checked", weaker=True)
        elif value != default:
            yield _departure(path, default, value)


def _default(one: Field[Any]) -> Any:
    """Return the default of a field; MISSING where the field has none."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _departure(path: str, default: Any, value: Any) -> Departure:
    here = _text(value)
    if (path, here) in _WEAKER:
        return Departure(path, _text(default), here, _WEAKER[path, here], weaker=True)
    if not isinstance(value, int | float | timedelta) or isinstance(value, bool) or not isinstance(default, int | float | timedelta):
        return Departure(path, _text(default), here, "", weaker=False)
    smaller = _number(value) < _number(default)
    return Departure(path, _text(default), here, _effect(path, value, smaller), weaker=path in (_SMALLER if smaller else _LARGER))


def _number(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _effect(path: str, value: float | timedelta, smaller: bool) -> str:
    if isinstance(value, timedelta):
        return "shortened" if smaller else "lengthened"
    if path.endswith(_LIMITS):
        return "narrowed" if smaller else "widened"
    return "lowered" if smaller else "raised"


def _text(value: Any) -> str:
    if value is MISSING:
        return "required, no default"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, int | float):
        return plain(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, tuple | list):
        return ", ".join(_text(item) for item in value) or "none"
    # A receiver of notices has its own `__str__`, which leaves out what must stay secret.
    if is_dataclass(value) and type(value).__str__ is object.__str__:
        changed = [(codec.document_key(one), item) for one in fields(value) if (item := getattr(value, one.name)) != _default(one)]
        return f"({', '.join(f'{name}={_text(item)}' for name, item in changed)})"
    return str(value) or "none"
