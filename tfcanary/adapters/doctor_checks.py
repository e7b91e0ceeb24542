"""A doctor's list: each question bounded in time, each answered whatever the others say, but those that rest on a bad answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tfcanary.core.domain import Absence, Evidence, Finding, Look
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.plan import Plan

BOUND = 40.0
"""Seconds for one check: longer than any of its calls is tried again (a bucket: 30 s)."""

Said = tuple[Finding, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a platform is to be ready for. What is not named is not asked about."""

    plan: Plan | None = None
    model: str = ""
    account: str = ""
    """The service account of the steps, `name` or `namespace/name`."""
    image: str = ""
    """In which the steps run."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the world."""

    name: str
    ask: Callable[[], Said]
    """Refused is a red line; Unavailable means that it could not be asked."""
    needs: tuple[str, ...] = ()
    """Checks without which it would only say the same again."""
    unasked: str = ""
    """What to do where it could not be asked."""


def examined(about: str, checks: Iterable[Check | Absence], bound: float = BOUND) -> Look:
    """Ask one after the other. A check that needs a bad one is not asked, and neither is one that needs that."""
    evidence: list[Evidence] = []
    absent: list[Absence] = []
    bad: dict[str, str] = {}
    for check in checks:
        if isinstance(check, Absence):
            absent.append(Absence(f"{about}/{check.about}", check.reason))
        elif blocking := next((bad[one] for one in check.needs if one in bad), ""):
            bad[check.name] = blocking
            absent.append(Absence(f"{about}/{check.name}", f"not asked: first mend {blocking}"))
        else:
            finding, reason = _bounded(check, bound)
            evidence.append(Evidence(f"{about}/{check.name}", finding, reason))
            if finding in (Finding.FAIL, Finding.INCONCLUSIVE):
                bad[check.name] = check.name
    return Look(about, tuple(evidence), tuple(absent))


def _bounded(check: Check, seconds: float) -> Said:
    """In a thread of its own, which is left behind where it hangs."""
    said: list[Said] = []
    thread = threading.Thread(target=lambda: said.append(_asked(check)), name=f"check {check.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    assert said or thread.is_alive(), f"check {check.name} crashed"
    finding, reason = said[0] if said else (Finding.INCONCLUSIVE, f"no answer within {seconds:.0f} s")
    return finding, f"{reason}; {check.unasked}" if check.unasked and finding is Finding.INCONCLUSIVE else reason


def _asked(check: Check) -> Said:
    try:
        return check.ask()
    except Refused as error:
        return Finding.FAIL, str(error)
    except (Unavailable, Conflict) as error:
        return Finding.INCONCLUSIVE, str(error)
