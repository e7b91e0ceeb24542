"""The gate of a candidate: the static checks of its files, then a trial run in a confined process.

The step `validate_savedmodel` calls `validate`; `try_model` is the trial run alone. A model that crashes, hangs or takes too
much memory costs one process here and becomes a finding; on a cluster it would cost the canary's servers.

Modules that start threads, such as numpy, are imported inside functions: the trial's process imports this module before it
confines itself, and a thread that already runs would not be confined.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tfcanary.core.domain import Absence, Evidence, Finding, Look, Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.launch import ProcessEnd, run

__all__ = ["digest", "try_model", "validate"]

UNCHANGED = "savedmodel/unchanged"

SENTENCE = 300
"""Largest number of characters of a process's error output in a reason."""
OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "Resource temporarily unavailable")
"""Parts of the error output of a process that ran out of memory."""


def validate(model: Path, plan: ValidationPlan, stable: Path | None, requests: Iterable[Request] = ()) -> Look:
    """Run the whole gate: the static checks and, where none of them fails, the trial.

    `requests` are the plan's golden requests. Raises Refused where there is no SavedModel, the stable model or a request cannot be
    read, or the plan cannot be followed.
    """
    from tfcanary.look import savedmodel
    from tfcanary.look.trial.check_table import with_remedy

    before = _digest(model)
    static = savedmodel.check(model, plan, stable)
    if static.finding is Finding.FAIL:
        trial = Look("trial", absent=(Absence("trial", "not run: the static checks already refuse the model"),))
    else:
        trial = try_model(model, plan, requests, stable)
    unchanged = with_remedy(_check_unchanged(before, _digest(model)))
    return Look(static.about, (*static.evidence, *trial.evidence, unchanged), (*static.absent, *trial.absent))


def digest(look: Look) -> str:
    """The digest of the files that `validate` checked, which identifies the version; empty where they could not be hashed."""
    figures = next((one.figures for one in look.evidence if one.about == UNCHANGED), {})
    return str(figures.get("digest", ""))


def try_model(model: Path, plan: ValidationPlan, requests: Iterable[Request] = (), stable: Path | None = None) -> Look:
    """Load the model in a child process and send it `requests`, or made-up ones; then compare it with the stable model.

    A crash, an endless loop or too much memory becomes a finding. Raises Refused where there is no SavedModel, a request cannot be
    read, or the plan's memory is too small for TensorFlow itself.
    """
    from tfcanary.look import savedmodel
    from tfcanary.look.savedmodel.findings import quote
    from tfcanary.look.trial.check_table import with_remedy

    savedmodel.read(model)
    with tempfile.TemporaryDirectory(prefix="tfcanary-trial-", ignore_cleanup_errors=True) as scratch:
        with_ids = (replace(one, id=quote(one.id or str(number))) for number, one in enumerate(requests, 1))
        end = run(Job(str(model.resolve()), plan, str(stable.resolve()) if stable else ""), with_ids, Path(scratch))
    if end.refusal:
        raise Refused(end.refusal)
    evidence = end.look.evidence if end.look is not None else ()
    if not end.complete:
        evidence = (*evidence, _early_end_evidence(end, plan))
    return Look("trial", tuple(with_remedy(one) for one in evidence))


def _digest(model: Path) -> str:
    """The digest of the model's files; empty where they cannot be listed, which the static checks then refuse."""
    from tfcanary.look import savedmodel

    try:
        return savedmodel.manifest(model).digest
    except Refused:
        return ""


def _check_unchanged(before: str, after: str) -> Evidence:
    figures = {"digest": before}
    if not before:
        reason = "the files cannot be hashed, so a later change of them could not be found"
        return Evidence(UNCHANGED, Finding.FAIL, reason, figures=figures)
    if before != after:
        reason = "the files changed while they were checked, so the checks do not hold for them"
        return Evidence(UNCHANGED, Finding.FAIL, reason, figures=figures)
    return Evidence(UNCHANGED, Finding.PASS, f"the checks did not change the files: {before[:19]}…", figures=figures)


def _early_end_evidence(end: ProcessEnd, plan: ValidationPlan) -> Evidence:
    """The evidence where the trial's process ended before the trial was complete."""
    from tfcanary.look.trial.trial_messages import STABLE

    figures = {"seconds": end.seconds}
    if not end.ready:
        reason = f"TensorFlow did not start, so the model could not be tried: {_cause(end, plan)}"
        return Evidence("trial/process", Finding.INCONCLUSIVE, reason, figures=figures)
    if end.activity == STABLE:
        reason = f"not compared with the stable model: the process ended while it ran the stable model ({_cause(end, plan)})"
        return Evidence("trial/stable", Finding.INCONCLUSIVE, reason, gating=False, figures=figures)
    if end.status is not None and end.status > 0 and not _is_out_of_memory(end):
        reason = f"the trial itself failed while {end.activity}: {_cause(end, plan)}"
        return Evidence("trial/process", Finding.INCONCLUSIVE, reason, figures=figures)
    reason = f"the model's process did not survive {end.activity}: {_cause(end, plan)}"
    return Evidence("trial/process", Finding.FAIL, reason, figures=figures)


def _cause(end: ProcessEnd, plan: ValidationPlan) -> str:
    from tfcanary.look.savedmodel.findings import quote

    if end.status is None:
        return f"it did not end within {plan.timeout.total_seconds():g} s"
    if _is_out_of_memory(end):
        return f"it needs more memory than the {plan.memory_mib} MiB of the plan"
    if end.status == -signal.SIGXCPU:
        return "it ran out of processor time"
    if end.status == -signal.SIGKILL:
        return "killed by SIGKILL, most likely because the machine ran out of memory"
    words = quote(end.last_words.strip().rpartition("\n")[2], SENTENCE)
    status = f"killed by {signal.Signals(-end.status).name}" if end.status < 0 else f"exit status {end.status}"
    return f"{status}, last line of its error output {words}" if len(words) > 2 else status


def _is_out_of_memory(end: ProcessEnd) -> bool:
    return any(words in end.last_words for words in OUT_OF_MEMORY)
