"""Loads the model and asks it: all of it runs in the trial's own process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.savedmodel import SavedModelFacts, read
from tfcanary.look.savedmodel.findings import shown
from tfcanary.look.trial import questions
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.memory import Peak, release
from tfcanary.look.trial.questions import Answer
from tfcanary.look.trial.side_by_side import Cost, alone, beside
from tfcanary.look.trial.trial_requests import SENTENCE, Asking, Say, made_up, others, recorded, settled, warmed
from tfcanary.tf.runtime import Servable, TensorFlowError, load, load_natively

BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase", "Switch", "RefSwitch"})
OTHERS = 16
"""Further signatures that are asked."""


def start_tensorflow() -> None:
    """Import it, by asking for what is not there: some seconds and a gigabyte of address space that are not the model's."""
    with suppress(TensorFlowError):
        load(Path.cwd())


def try_out(job: Job, say: Say) -> Iterator[Evidence]:
    """Load the model, ask it, and judge the answers; `say` is told before each thing that may never return."""
    model, name = Path(job.model), job.plan.signature
    facts = read(model)
    if name not in facts.public:
        yield Evidence("trial/answers", Finding.FAIL, f"no signature {shown(name)} to be asked")
        return
    began = time.monotonic()
    with Peak() as peak:
        try:
            servable = _loaded(model, facts, say)
        except TensorFlowError as error:
            yield Evidence("trial/load", Finding.FAIL, f"cannot be loaded: {error.code} {shown(str(error), SENTENCE)}")
            return
        seconds = time.monotonic() - began
        yield Evidence("trial/load", Finding.PASS, f"loaded in {seconds:.1f} s", figures={"seconds": seconds})
        asking = Asking(servable, name, facts.public[name], say)
        answers: list[Answer] = []
        yield from _asked(asking, facts, job, answers)
    cost = Cost(float(peak.bytes), next((one.seconds for one in answers), 0.0))
    yield from beside(asking, answers, cost, Path(job.stable), job.plan) if job.stable else alone(asking, answers, cost)


def _loaded(model: Path, facts: SavedModelFacts, say: Say) -> Servable:
    """By the original first; then step by step, so that it can be asked, with every signature ready to be run."""
    say("loading it")
    load_natively(model)
    release()
    servable = load(model)
    say("getting ready for requests")
    for name in facts.public:
        servable.prepare(name)
    return servable


def _asked(asking: Asking, facts: SavedModelFacts, job: Job, answers: list[Answer]) -> Iterator[Evidence]:
    """Everything that is asked of the candidate alone; `answers` takes what was answered."""
    try:
        yield from judge(asking, job, answers, any(op in BRANCHES for op in facts.operations))
        further = {name: one for name, one in list(facts.public.items())[:OTHERS] if name != asking.name}
        if further:
            wrong = list(others(asking, further, job.plan.batches))
            reason = wrong[0] if wrong else f"{len(further)} other signatures can be asked"
            yield Evidence("trial/signatures", Finding.FAIL if wrong else Finding.PASS, reason)
    except TensorFlowError as error:
        said = f"what was answered once was not answered again: {error.code} {shown(str(error), SENTENCE)}"
        yield Evidence("trial/repeat", Finding.FAIL, said)


def judge(asking: Asking, job: Job, answers: list[Answer], branches: bool) -> Iterator[Evidence]:
    """Ask the warm-up requests and the recorded or made-up ones, then the questions about what was answered."""
    warmup, own = warmed(asking, Path(job.model))
    if warmup is not None:
        yield warmup
    batched: Sequence[str] = tuple(asking.signature.inputs)
    if job.requests:
        evidence, tried = recorded(asking, job)
    else:
        evidence, tried, recipe = made_up(asking, job.plan.batches)
        batched = recipe.batched if recipe else batched
    yield settled(evidence, own)
    answers += [one for one in (*tried, *own) if isinstance(one, Answer)]
    if not answers:
        return
    yield questions.finite(answers)
    yield questions.shapes(answers, asking.signature)
    if (golden := questions.golden(answers, asking.signature, job.plan.golden_tolerance)) is not None:
        yield golden
    asking.say("answering the same requests again")
    repeated = questions.repeated(asking.ask, answers)
    yield repeated
    asking.say("answering single rows of a batch")
    if repeated.finding is Finding.PASS and (among := questions.alone(asking.ask, answers, batched, branches)) is not None:
        yield among
