"""Loads the model and asks it: all of it runs in the trial's own process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfcanary.domain import Evidence, Finding
from tfcanary.errors import Refused
from tfcanary.runtime import Failed, Servable, load
from tfcanary.savedmodel import SignatureFact, read
from tfcanary.savedmodel.findings import shown
from tfcanary.savedmodel.samples import Feeds, Recipe, Sample, declared_in_full, recipes, samples
from tfcanary.trial import questions
from tfcanary.trial.job import Job
from tfcanary.trial.questions import Answer, Outputs
from tfcanary.trial.recorded import given

Say = Callable[[str], None]
SENTENCE = 300
"""Characters of TensorFlow's own words that a reason shows."""
REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "UNKNOWN"})
"""How a sound model turns down a request that is none."""


def start_tensorflow() -> None:
    """Import it, by asking for what is not there: some seconds and a gigabyte of address space that are not the model's."""
    with suppress(Failed):
        load(Path.cwd())


def try_out(job: Job, say: Say) -> Iterator[Evidence]:
    """Load the model, ask it, and judge the answers; `say` is told before each thing that may never return."""
    model, name = Path(job.model), job.plan.signature
    signature = read(model).public.get(name)
    if signature is None:
        yield Evidence("trial/answers", Finding.FAIL, f"no signature {shown(name)} to be asked")
        return
    say("loading it")
    began = time.monotonic()
    try:
        servable = load(model)
    except Failed as error:
        yield Evidence("trial/load", Finding.FAIL, f"cannot be loaded: {error.code} {shown(str(error), SENTENCE)}")
        return
    seconds = time.monotonic() - began
    yield Evidence("trial/load", Finding.PASS, f"loaded in {seconds:.1f} s", figures={"seconds": seconds})
    asking = Asking(servable, name, signature, say)
    try:
        yield from judge(asking, job)
    except Failed as error:
        yield Evidence(
            "trial/repeat", Finding.FAIL, f"what was answered once was not answered again: {error.code} {shown(str(error), SENTENCE)}"
        )
    yield _memory()


def _memory() -> Evidence:
    """The peak of the whole process, TensorFlow included."""
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Evidence(
        "trial/memory", Finding.PASS, f"took {peak / 2**20:.0f} MiB at most", gating=False, unit="bytes", figures={"peak": float(peak)}
    )


@dataclass(frozen=True, slots=True)
class Asking:
    """A loaded model and the signature that is tried."""

    servable: Servable
    name: str
    signature: SignatureFact
    say: Say

    def ask(self, feeds: Feeds) -> Outputs:
        """The model's answer; raises Failed where it has none."""
        return self.servable.run(self.name, feeds)

    def answer(self, sample: Sample) -> Answer | Unanswered:
        """The same, as a value."""
        self.say(f"answering {sample.what}")
        try:
            return Answer(sample, self.ask(sample.feeds))
        except Failed as error:
            return Unanswered(sample, error.code, str(error))


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A sample that the model refused or failed to answer."""

    sample: Sample
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.sample.what}: {self.code} {shown(self.message, SENTENCE)}"


def judge(asking: Asking, job: Job) -> Iterator[Evidence]:
    """Ask the recorded requests or made-up ones, then the four questions about what was answered."""
    if job.requests:
        tried, batched = _recorded(asking, job), tuple(asking.signature.inputs)
        yield _all_answered(tried) if tried else _could_not_ask("every recorded request is for another signature")
    else:
        try:
            recipe, tried = _made_up(asking, job.plan.batches)
        except Refused as error:
            yield _could_not_ask(str(error))
            return
        batched = recipe.batched
        yield _answered(tried, asking.signature)
    answers = [one for one in tried if isinstance(one, Answer)]
    if not answers:
        return
    yield questions.finite(answers)
    yield questions.shapes(answers, asking.signature)
    asking.say("answering the same requests again")
    repeated = questions.repeated(asking.ask, answers)
    yield repeated
    asking.say("answering single rows of a batch")
    if repeated.finding is Finding.PASS and (alone := questions.alone(asking.ask, answers, batched)) is not None:
        yield alone


Tried = Sequence[Answer | Unanswered]


def _recorded(asking: Asking, job: Job) -> Tried:
    tried: list[Answer | Unanswered] = []
    for request in job.requests:
        if request.body.get("signature_name", "serving_default") != asking.name:
            continue
        try:
            tried.append(asking.answer(given(request, asking.signature)))
        except Refused as error:
            tried.append(Unanswered(Sample(f"request {request.id}", {}, None), "does not fit:", str(error)))
    return tried


def _made_up(asking: Asking, batches: Sequence[int]) -> tuple[Recipe, Tried]:
    """The first recipe that is answered, or the first of all where none is."""
    first: tuple[Recipe, Tried] | None = None
    for recipe in recipes(asking.signature):
        made = list(samples(recipe, batches))
        probes = [sample for sample in made if sample.ordinary and sample.rows == made[0].rows]
        tried = [asking.answer(sample) for sample in probes]
        if any(isinstance(one, Answer) for one in tried):
            return recipe, [*tried, *(asking.answer(sample) for sample in made if not any(sample is probe for probe in probes))]
        first = first or (recipe, tried)
    assert first is not None
    return first


def _all_answered(tried: Tried) -> Evidence:
    failed = [one for one in tried if isinstance(one, Unanswered)]
    figures = {"requests": float(len(tried)), "unanswered": float(len(failed))}
    if failed:
        return Evidence(
            "trial/answers", Finding.FAIL, f"{len(failed)} of {len(tried)} recorded requests are not answered; {failed[0]}", figures=figures
        )
    return Evidence("trial/answers", Finding.PASS, f"{len(tried)} recorded requests are answered", figures=figures)


def _answered(tried: Tried, signature: SignatureFact) -> Evidence:
    """A made-up request may be wrong itself: where the model only says that it is, the trial could not ask."""
    failed = [one for one in tried if isinstance(one, Unanswered)]
    figures = {"samples": float(len(tried)), "unanswered": float(len(failed))}
    if broken := next((one for one in failed if _is_to_blame(one, tried, signature)), None):
        return Evidence("trial/answers", Finding.FAIL, str(broken), figures=figures)
    if len(failed) == len(tried):
        return _could_not_ask(f"no made-up request is one for this model ({failed[0]})")
    return Evidence(
        "trial/answers", Finding.PASS, f"{len(tried) - len(failed)} of {len(tried)} made-up requests are answered", figures=figures
    )


def _could_not_ask(why: str) -> Evidence:
    return Evidence("trial/answers", Finding.INCONCLUSIVE, f"the trial could not ask: {why}; golden requests settle it", gating=False)


def _is_to_blame(one: Unanswered, tried: Tried, signature: SignatureFact) -> bool:
    if not one.sample.ordinary:
        return False
    if one.code not in REFUSALS or declared_in_full(signature):
        return True
    smaller = (other.sample for other in tried if isinstance(other, Answer))
    return any(other.content == one.sample.content and (other.rows or 0) < (one.sample.rows or 0) for other in smaller)
