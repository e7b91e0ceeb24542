"""Loads the model, sends it requests and checks the answers; runs in the trial's own process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding, Request
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import SavedModelFacts, read
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.known_operations import server_operations
from tfcanary.look.trial import questions
from tfcanary.look.trial.golden import GoldenAnswers, ask_golden_requests, check_golden
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.memory import PeakMemory, release
from tfcanary.look.trial.questions import ModelAnswer
from tfcanary.look.trial.side_by_side import Cost, compare_with_stable, measure_alone
from tfcanary.look.trial.trial_requests import (
    SENTENCE,
    Announce,
    FailedAnswer,
    TrialModel,
    ask_made_up_requests,
    ask_warmup_requests,
    made_up_faults,
    other_signature_faults,
    settle_by_warmup,
)
from tfcanary.tf.runtime import Servable, TensorFlowError, load, load_natively

BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase", "Switch", "RefSwitch"})
OTHERS = 16
"""Largest number of other signatures that are called."""


def start_tensorflow() -> None:
    """Import TensorFlow by loading a model that does not exist, so that its seconds and its gigabyte do not count as the model's."""
    with suppress(TensorFlowError):
        load(Path.cwd())


def try_out(job: Job, requests: Iterable[Request], announce: Announce) -> Iterator[Evidence]:
    """Load the model of the job, send it the golden `requests` or made-up ones, and check the answers.

    `requests` may be iterated over again; `announce` is called before each activity.
    """
    path, name = Path(job.model), job.plan.signature
    facts = read(path)
    if name not in facts.public:
        yield Evidence("trial/answers", Finding.FAIL, f"the model has no signature {quote(name)}")
        return
    began = time.monotonic()
    with PeakMemory() as peak:
        try:
            servable = _load(path, facts, announce)
        except TensorFlowError as error:
            yield _load_evidence(error, job.plan)
            return
        seconds = time.monotonic() - began
        yield Evidence("trial/load", Finding.PASS, f"loaded in {seconds:.1f} s", figures={"seconds": seconds})
        model = TrialModel(servable, name, facts.public[name], announce)
        answers: list[ModelAnswer] = []
        faults: list[FailedAnswer] = []
        golden = None
        if next(iter(requests), None) is not None:
            golden = ask_golden_requests(model, requests, job.plan, {})
        yield from _check_model(model, facts, job, answers, faults, golden)
    cost = Cost(float(peak.bytes), next((one.seconds for one in answers), 0.0))
    if job.stable:
        yield from compare_with_stable(model, answers, faults, cost, Path(job.stable), job.plan, golden, requests)
    else:
        yield from measure_alone(model, answers, cost)


def _load(path: Path, facts: SavedModelFacts, announce: Announce) -> Servable:
    """Load the model with TensorFlow's own loader, then as a servable whose signatures are all ready to run."""
    announce("loading it")
    load_natively(path)
    release()
    servable = load(path)
    announce("getting ready for requests")
    for name in facts.public:
        servable.prepare(name)
    return servable


def add_evidence(evidence: Sequence[Evidence], new: Evidence) -> tuple[Evidence, ...]:
    """The evidence with a new piece, which replaces an earlier one of its check."""
    return (*(one for one in evidence if one.about != new.about), new)


def _load_evidence(error: TensorFlowError, plan: ValidationPlan) -> Evidence:
    """The evidence of a failed load: an operation that only this TensorFlow lacks is no fault of the model."""
    unknown = re.search(r"Op type not registered '(\w+)'", str(error))
    if unknown and unknown[1] in server_operations(plan):
        reason = f"the trial could not load the model: the serving image has the operation {quote(unknown[1])}, this TensorFlow does not"
        return Evidence("trial/load", Finding.INCONCLUSIVE, reason, gating=False)
    return Evidence("trial/load", Finding.FAIL, f"cannot be loaded: {error.code} {quote(str(error), SENTENCE)}")


def _check_model(
    model: TrialModel,
    facts: SavedModelFacts,
    job: Job,
    answers: list[ModelAnswer],
    faults: list[FailedAnswer],
    golden: GoldenAnswers | None,
) -> Iterator[Evidence]:
    """All checks of the candidate alone; `golden` is None where the plan has no golden requests.

    The answers of the plan's signature are appended to `answers`, and its failures to answer made-up requests to `faults`.
    """
    try:
        yield from _check_signature(model, job, answers, faults, golden, any(op in BRANCHES for op in facts.operations))
        others = {name: one for name, one in list(facts.public.items())[:OTHERS] if name != model.name}
        if others:
            wrong = list(other_signature_faults(model, others, job.plan.batches))
            reason = wrong[0] if wrong else f"{len(others)} other signatures can be called"
            yield Evidence("trial/signatures", Finding.FAIL if wrong else Finding.PASS, reason)
    except TensorFlowError as error:
        reason = f"a request that was answered once fails when it is repeated: {error.code} {quote(str(error), SENTENCE)}"
        yield Evidence("trial/repeat", Finding.FAIL, reason)


def _check_signature(
    model: TrialModel, job: Job, answers: list[ModelAnswer], faults: list[FailedAnswer], golden: GoldenAnswers | None, branches: bool
) -> Iterator[Evidence]:
    """Send the warm-up requests and, without golden ones, made-up ones, then check the answers.

    Raises TensorFlowError where a repetition fails.
    """
    warmup_evidence, warmup_answers = ask_warmup_requests(model, Path(job.model))
    if warmup_evidence is not None:
        yield warmup_evidence
    batched: Sequence[str] = tuple(model.signature.inputs)
    request_answers: Sequence[ModelAnswer | FailedAnswer]
    if golden is not None:
        evidence, request_answers = golden.evidence(job.plan, job.left_out), golden.answers
    else:
        evidence, request_answers, recipe = ask_made_up_requests(model, job.plan.batches)
        batched = recipe.batched if recipe else batched
        faults += made_up_faults(request_answers, model.signature)
    yield settle_by_warmup(evidence, warmup_answers)
    answers += [one for one in (*request_answers, *warmup_answers) if isinstance(one, ModelAnswer)]
    if not answers:
        return
    yield questions.check_finite(answers, golden.finite_faults if golden else (), golden.others if golden else 0)
    yield questions.check_shapes(answers, model.signature, golden.shape_faults if golden else ())
    if golden and (labels := check_golden(golden, job.plan, bool(job.stable))) is not None:
        yield labels
    model.announce("answering the same requests again")
    repeat = questions.check_repeat(model.outputs, answers)
    yield repeat
    model.announce("answering single rows of a batch")
    if repeat.finding is Finding.PASS and (batching := questions.check_batching(model.outputs, answers, batched, branches)) is not None:
        yield batching
