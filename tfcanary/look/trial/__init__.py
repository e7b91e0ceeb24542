"""Runs the candidate before anybody else does: in a process of its own that has neither network nor time without end.

The step that validates calls `validate`; `try_model` is the running alone. A model that crashes, hangs or eats memory
costs a process here, and a finding; in the cluster it would cost the canary's servers.

Whatever starts threads (numpy does) is imported inside functions: the trial's process comes through here before it
confines itself, and a thread that exists by then would stay free.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tfcanary.core.domain import Absence, Evidence, Finding, Look, Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.launch import End, run

__all__ = ["GOLDEN", "digest", "try_model", "validate"]

GOLDEN = 200
"""Golden requests that are asked at most."""
UNCHANGED = "savedmodel/unchanged"

SENTENCE = 300
"""Characters of a process's last words that a reason shows."""
MEMORY_GONE = ("bad_alloc", "MemoryError", "Cannot allocate memory", "Resource temporarily unavailable")
"""Last words of a process that ran out of memory."""


def validate(model: Path, plan: ValidationPlan, stable: Path | None, requests: Sequence[Request] = ()) -> Look:
    """The whole gate: everything that can be known without running the candidate and, where that fails nothing, the trial.

    `requests` are the plan's golden ones. Raises Refused where there is no SavedModel, or the stable one cannot be read.
    """
    from tfcanary.look import savedmodel
    from tfcanary.look.trial.check_table import advised

    before = _digest(model)
    looked = savedmodel.check(model, plan, stable)
    if looked.finding is Finding.FAIL:
        tried = Look("trial", absent=(Absence("trial", "not run: what was found before is reason enough to refuse the model"),))
    else:
        tried = try_model(model, plan, requests, stable)
    unchanged = advised(_unchanged(before, _digest(model)))
    return Look(looked.about, (*looked.evidence, *tried.evidence, unchanged), (*looked.absent, *tried.absent))


def digest(look: Look) -> str:
    """The digest of the files that `validate` looked at: the version's identity from there on; empty where they could not be hashed."""
    figures = next((one.figures for one in look.evidence if one.about == UNCHANGED), {})
    return str(figures.get("digest", ""))


def try_model(model: Path, plan: ValidationPlan, requests: Sequence[Request] = (), stable: Path | None = None) -> Look:
    """Load the model in a child process and ask it `requests`, or made-up ones; then the stable one beside it.

    A crash, an endless loop or too much memory is a finding. Raises Refused where there is no SavedModel or the plan's
    memory is too little for TensorFlow itself.
    """
    from tfcanary.look import savedmodel
    from tfcanary.look.savedmodel.findings import shown
    from tfcanary.look.trial.check_table import advised

    savedmodel.read(model)
    with tempfile.TemporaryDirectory(prefix="tfcanary-trial-", ignore_cleanup_errors=True) as scratch:
        named = tuple(replace(one, id=shown(one.id or str(number))) for number, one in enumerate(requests, 1))
        end = run(Job(str(model.resolve()), plan, named, str(stable.resolve()) if stable else ""), Path(scratch))
    if end.refused:
        raise Refused(end.refused)
    found = end.look.evidence if end.look is not None else ()
    if not end.done:
        found = (*found, _unfinished(end, plan))
    return Look("trial", tuple(advised(one) for one in found))


def _digest(model: Path) -> str:
    """Empty where the files cannot even be listed: then the checks refuse the model."""
    from tfcanary.look import savedmodel

    try:
        return savedmodel.manifest(model).digest
    except Refused:
        return ""


def _unchanged(before: str, after: str) -> Evidence:
    figures = {"digest": before}
    if not before:
        return Evidence(
            UNCHANGED, Finding.FAIL, "the files cannot be hashed, so nobody could tell later that they are still these", figures=figures
        )
    if before != after:
        return Evidence(
            UNCHANGED, Finding.FAIL, "the files changed while they were checked: nobody knows what was checked", figures=figures
        )
    return Evidence(UNCHANGED, Finding.PASS, f"the files are the same after the checks as before: {before[:19]}…", figures=figures)


def _unfinished(end: End, plan: ValidationPlan) -> Evidence:
    from tfcanary.look.trial.trial_messages import STABLE

    figures = {"seconds": end.seconds}
    if not end.was_ready:
        said = f"TensorFlow did not start, so the model could not be tried: {_cause(end, plan)}"
        return Evidence("trial/process", Finding.INCONCLUSIVE, said, figures=figures)
    if end.doing == STABLE:
        said = f"not compared with the stable model: the process did not survive it ({_cause(end, plan)})"
        return Evidence("trial/stable", Finding.INCONCLUSIVE, said, gating=False, figures=figures)
    if end.status is not None and end.status > 0 and not _memory_gone(end):
        said = f"the trial itself broke while {end.doing}: {_cause(end, plan)}"
        return Evidence("trial/process", Finding.INCONCLUSIVE, said, figures=figures)
    return Evidence("trial/process", Finding.FAIL, f"the model's process did not survive {end.doing}: {_cause(end, plan)}", figures=figures)


def _cause(end: End, plan: ValidationPlan) -> str:
    from tfcanary.look.savedmodel.findings import shown

    if end.status is None:
        return f"no end within {plan.timeout.total_seconds():g} s"
    if _memory_gone(end):
        return f"it needs more memory than the {plan.memory_mib} MiB of the plan"
    if end.status == -signal.SIGXCPU:
        return "it ran out of processor time"
    if end.status == -signal.SIGKILL:
        return "killed by SIGKILL, most likely because the machine ran out of memory"
    words = shown(end.last_words.strip().rpartition("\n")[2], SENTENCE)
    how = f"killed by {signal.Signals(-end.status).name}" if end.status < 0 else f"exit status {end.status}"
    return f"{how}, last words {words}" if len(words) > 2 else how


def _memory_gone(end: End) -> bool:
    return any(words in end.last_words for words in MEMORY_GONE)
