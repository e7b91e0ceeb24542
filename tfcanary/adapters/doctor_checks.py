"""Runs the doctor's checks one after the other: each is bounded in time, and skipped where a check that it needs did not pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tfcanary.core.domain import Absence, Evidence, Finding, Look
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.plan import Plan

BOUND = 40.0
"""Seconds for one check: longer than any of its calls is tried again (a bucket's for 30 s)."""

CheckResult = tuple[Finding, str]
"""The finding of a check, and the sentence for people."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a platform must be ready for. A field that is left empty is not checked."""

    plan: Plan | None = None
    model: str = ""
    account: str = ""
    """The service account of the steps, `name` or `namespace/name`."""
    image: str = ""
    """The image that the steps run in."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the world."""

    name: str
    ask: Callable[[], CheckResult]
    """Refused becomes a failure; Unavailable and Conflict become `inconclusive`: the question could not be asked."""
    needs: tuple[str, ...] = ()
    """Names of earlier checks; where one of them did not pass, this check is skipped, since it would only repeat that answer."""
    advice: str = ""
    """What a person can do where the question could not be asked."""


def run_checks(about: str, checks: Iterable[Check | Absence], bound: float = BOUND) -> Look:
    """Run the checks in order and return their evidence; checks whose needs did not pass are absent, and so are those that need them.

    `about` is the first part of each evidence's name; `bound` is in seconds, for each check.
    """
    evidence: list[Evidence] = []
    absent: list[Absence] = []
    causes: dict[str, str] = {}
    for check in checks:
        if isinstance(check, Absence):
            absent.append(Absence(f"{about}/{check.about}", check.reason))
        elif cause := next((causes[name] for name in check.needs if name in causes), ""):
            causes[check.name] = cause
            absent.append(Absence(f"{about}/{check.name}", f"not asked: first mend {cause}"))
        else:
            finding, reason = _run_bounded(check, bound)
            evidence.append(Evidence(f"{about}/{check.name}", finding, reason))
            if finding in (Finding.FAIL, Finding.INCONCLUSIVE):
                causes[check.name] = check.name
    return Look(about, tuple(evidence), tuple(absent))


def _run_bounded(check: Check, seconds: float) -> CheckResult:
    """The check's result, from a thread of its own, which is left behind where it hangs."""
    results: list[CheckResult] = []
    thread = threading.Thread(target=lambda: results.append(_run(check)), name=f"check {check.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    assert results or thread.is_alive(), f"check {check.name} crashed"
    finding, reason = results[0] if results else (Finding.INCONCLUSIVE, f"no answer within {seconds:.0f} s")
    return finding, f"{reason}; {check.advice}" if check.advice and finding is Finding.INCONCLUSIVE else reason


def _run(check: Check) -> CheckResult:
    try:
        return check.ask()
    except Refused as error:
        return Finding.FAIL, str(error)
    except (Unavailable, Conflict) as error:
        return Finding.INCONCLUSIVE, str(error)
