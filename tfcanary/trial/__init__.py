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

from tfcanary.domain import Absence, Evidence, Finding, Look, Request
from tfcanary.errors import Refused
from tfcanary.plan import ValidationPlan
from tfcanary.trial.job import Job
from tfcanary.trial.launch import End, run

__all__ = ["try_model", "validate"]

SENTENCE = 300
"""Characters of a process's last words that a reason shows."""
MEMORY_GONE = ("bad_alloc", "MemoryError", "Cannot allocate memory", "Resource temporarily unavailable")
"""Last words of a process that ran out of memory."""


def validate(model: Path, plan: ValidationPlan, stable: Path | None) -> Look:
    """The whole gate: everything that can be known without running the candidate and, where that fails nothing, the trial.

    Raises Refused where there is no SavedModel, or the stable one cannot be read.
    """
    from tfcanary import savedmodel

    looked = savedmodel.check(model, plan, stable)
    if looked.finding is Finding.FAIL:
        return Look(
            looked.about,
            looked.evidence,
            (*looked.absent, Absence("trial", "not run: what was found before is reason enough to refuse the model")),
        )
    tried = try_model(model, plan)
    return Look(looked.about, (*looked.evidence, *tried.evidence), (*looked.absent, *tried.absent))


def try_model(model: Path, plan: ValidationPlan, requests: Sequence[Request] = ()) -> Look:
    """Load the model in a child process and ask it `requests`, or made-up ones.

    A crash, an endless loop or too much memory is a finding. Raises Refused where there is no SavedModel or the plan's
    memory is too little for TensorFlow itself.
    """
    from tfcanary import savedmodel
    from tfcanary.savedmodel.findings import shown

    savedmodel.read(model)
    with tempfile.TemporaryDirectory(prefix="tfcanary-trial-", ignore_cleanup_errors=True) as scratch:
        named = tuple(replace(one, id=shown(one.id or str(number))) for number, one in enumerate(requests, 1))
        end = run(Job(str(model.resolve()), plan, named), Path(scratch))
    if end.refused:
        raise Refused(end.refused)
    if end.look is not None:
        return end.look
    return Look("trial", (_unfinished(end, plan),))


def _unfinished(end: End, plan: ValidationPlan) -> Evidence:
    figures = {"seconds": end.seconds}
    if not end.was_ready:
        return Evidence(
            "trial/process",
            Finding.INCONCLUSIVE,
            f"TensorFlow did not start, so the model could not be tried: {_cause(end, plan)}",
            figures=figures,
        )
    if end.status is not None and end.status > 0 and not _memory_gone(end):
        return Evidence(
            "trial/process", Finding.INCONCLUSIVE, f"the trial itself broke while {end.doing}: {_cause(end, plan)}", figures=figures
        )
    return Evidence("trial/process", Finding.FAIL, f"the model's process did not survive {end.doing}: {_cause(end, plan)}", figures=figures)


def _cause(end: End, plan: ValidationPlan) -> str:
    from tfcanary.savedmodel.findings import shown

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
