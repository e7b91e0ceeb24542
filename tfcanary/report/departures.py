"""Where a plan differs from the defaults, and where that makes a pass say less than it usually does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from tfcanary.core.plan import Plan
from tfcanary.report.numbers import duration, plain


@dataclass(frozen=True, slots=True)
class Departure:
    """One field of the plan that is not at its default."""

    field: str
    """Its path, for example `judge.errors.margin`."""
    default: str
    here: str
    effect: str
    """What was done to it, for example `shortened`; empty where it is a choice."""
    weaker: bool
    """The release lets more through, or looks less, than by default."""


# Whether a smaller or a larger value looks less closely, or lets more through.
_SMALLER = {
    "stage.minimum", "judge.alpha", "judge.minimum_time", "judge.minimum_requests", "judge.freeze_requests", "judge.guards.least_share",
    "predictions.limit", "drift.alpha",
}  # fmt: skip
_LARGER = {
    "stage.poll", "judge.alpha_promote", "judge.settle", "judge.warmup", "judge.errors.tolerance", "judge.errors.tolerance_absolute",
    "judge.errors.margin", "judge.errors.margin_absolute", "judge.latency.tolerance", "judge.latency.margin",
    "judge.latency.tail_tolerance", "judge.latency.tail_margin", "judge.quality.tolerance", "judge.quality.margin",
    "judge.classes.tolerance", "judge.guards.outage", "judge.guards.crash_after", "judge.guards.silence_after",
    "judge.guards.silence_expected", "predictions.accuracy_margin", "drift.warn", "drift.fail", "deploy.handover", "deploy.lease",
    "deploy.heartbeat",
}  # fmt: skip
_WEAKER = {("stage.on_undecided", "promote"): "promotes on too few requests", ("bootstrap", "true"): "nothing to compare with"}
_LIMITS = ("tolerance", "margin", "absolute", "outage", "warn", "fail")


def departures(plan: Plan) -> tuple[Departure, ...]:
    """All of them, in the order of the plan."""
    return tuple(_walk(plan, ""))


def _walk(here: Any, at: str) -> Iterator[Departure]:
    """Field by field, each against its own default."""
    for one in fields(here):
        path, value, usual = f"{at}{one.name}", getattr(here, one.name), _default(one)
        if is_dataclass(value):
            if usual is None:
                yield Departure(path, "absent by plan", "asked for", "", weaker=False)
            yield from _walk(value, f"{path}.")
        elif is_dataclass(usual):
            yield Departure(path, "asked for", "absent by plan", "not asked", weaker=True)
        elif value != usual:
            yield _departure(path, usual, value)


def _default(one: Field[Any]) -> Any:
    """MISSING where the field has to be given."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _departure(path: str, usual: Any, value: Any) -> Departure:
    said = _text(value)
    if (path, said) in _WEAKER:
        return Departure(path, _text(usual), said, _WEAKER[path, said], weaker=True)
    if not isinstance(value, int | float | timedelta) or isinstance(value, bool) or not isinstance(usual, int | float | timedelta):
        return Departure(path, _text(usual), said, "", weaker=False)
    smaller = _number(value) < _number(usual)
    return Departure(path, _text(usual), said, _effect(path, value, smaller), weaker=path in (_SMALLER if smaller else _LARGER))


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
        return "must be given"
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
    # A receiver of notices says itself what may be shown of it.
    if is_dataclass(value) and type(value).__str__ is object.__str__:
        changed = [(one.name, item) for one in fields(value) if (item := getattr(value, one.name)) != _default(one)]
        return f"({', '.join(f'{name}={_text(item)}' for name, item in changed)})"
    return str(value) or "none"
