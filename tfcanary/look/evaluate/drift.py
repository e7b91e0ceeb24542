"""Whether the canary's requests and answers are distributed as stable's of the same minutes, and whether the world has changed.

Called by the step `evaluate_drift` with the recorded requests of a stage's window. A difference of inputs blames the split, one
of classes may decide, one of scores never does: a better model answers differently, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tfcanary.core.domain import Absence, Evidence, Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import DriftPlan
from tfcanary.decide import drift
from tfcanary.look.evaluate import attribution, classes
from tfcanary.look.evaluate.answers import Kind, Reading, reading
from tfcanary.look.evaluate.tally import shown
from tfcanary.tf.wire.bodies import INPUT, OUTPUT

MAY_GATE = ("inputs", "classes")
OF_INPUTS = ("inputs", "world")
NAMED = 5
"""Columns whose effect is among the figures."""
LONGEST = 1_000
"""Characters of a reason: names and values in it come from requests."""
SIDES = drift.ComparisonSettings(reference="stable", current="the canary")
ANSWERS = drift.ComparisonSettings(reference="stable", current="the canary", rows="answers")
WORLD = drift.ComparisonSettings(reference="the reference", current="this window", rows="requests")


def evaluate(stable: Iterable[Any], canary: Iterable[Any], plan: DriftPlan, look: int, reference: drift.Profile | None = None) -> Look:
    """Compare the recorded requests of both tracks with one another, and both together with a reference.

    Args:
        stable: Arrow record batches with columns `input.<name>` and `output.<name>`, one row for each row of a request. Where all outputs
            are null the request failed: it counts as a request, not as a prediction.
        canary: The same of the same minutes.
        plan: What counts as drift, and what may decide.
        look: Number of this look in the release, from 1 on.
        reference: Profile of the training data; the names of its columns may lack the `input.`.

    Raises Refused where a batch cannot be counted, or where the plan lets decide what must not.
    """
    for about in plan.gating:
        if about not in MAY_GATE:
            raise Refused(f"drift.gating: {about!r} cannot decide; {' and '.join(MAY_GATE)} can")
    world = _as_inputs(reference) if reference else None
    nobody = _Track(inputs=world or drift.Profile())
    first = _count(stable, nobody, _input(plan.entity))
    asked = _Asked(first, _count(canary, first if first.rows else nobody, _input(plan.entity)), plan, look)
    inputs = _inputs(asked)
    found = (inputs, _classes(asked, inputs.finding), _scores(asked), _world(asked, world, inputs.finding))
    evidence = tuple(e for e in found if isinstance(e, Evidence))
    return Look("drift", (*evidence, attribution.evidence(evidence)), tuple(a for a in found if isinstance(a, Absence)))


@dataclass(frozen=True, slots=True)
class _Track:
    """What was counted of one track."""

    rows: int = 0
    inputs: drift.Profile = drift.Profile()
    outputs: drift.Profile = drift.Profile()
    """Of the answered rows only."""
    classes: drift.Profile = drift.Profile()
    read: Reading | None = None
    """How an answer says its class."""
    shares: bool = True
    """Single scores all lie between 0 and 1, so that one half divides two classes."""


@dataclass(frozen=True, slots=True)
class _Asked:
    stable: _Track
    canary: _Track
    plan: DriftPlan
    look: int

    def compare(self, about: str, reference: drift.Profile, current: drift.Profile, sides: drift.ComparisonSettings) -> drift.Comparison:
        """What may decide shares the plan's alpha; what is only shown has all of it."""
        alpha = self.plan.alpha / len(self.plan.gating) if about in self.plan.gating else self.plan.alpha
        settings = replace(sides, alpha=alpha, warn=self.plan.warn, fail=self.plan.fail)
        if about in OF_INPUTS:
            weights = {_input(name): weight for name, weight in self.plan.importance.items()}
            settings = replace(settings, columns=tuple(map(_input, self.plan.columns)), importance=weights)
        return drift.compare(reference, current, settings, self.look)

    def evidence(self, about: str, finding: Finding, reason: str, compared: drift.Comparison) -> Evidence:
        """With the figures that it rests on."""
        flagged = [column for column in compared.columns if column.finding in (Finding.WARN, Finding.FAIL)]
        figures: dict[str, float | str] = {
            "canary_rows": compared.n_current,
            "stable_rows": compared.n_reference,
            "canary_failed": self.canary.rows - self.canary.outputs.rows,
            "stable_failed": self.stable.rows - self.stable.outputs.rows,
            "columns": len(compared.columns),
            "columns_drifted": len(flagged),
            "look": self.look,
            "alpha": compared.alpha,
            **{f"moved {shown(column.name)}": round(column.effect, 6) for column in compared.by_severity[:NAMED]},
        }
        gating = about in self.plan.gating
        unit, plan = "share of rows that moved", self.plan
        text = shown(reason, LONGEST)
        return Evidence(f"drift/{about}", finding, text, gating, unit, None, plan.warn, plan.fail, figures)


def _inputs(asked: _Asked) -> Evidence:
    compared = asked.compare("inputs", asked.stable.inputs, asked.canary.inputs, SIDES)
    finding = compared.finding
    reason = _no_rows(asked) or _reason(compared) or "the request log keeps no inputs"
    if finding in (Finding.WARN, Finding.FAIL):
        reason += "; requests of the same minutes should be alike on both tracks: the split is not even"
    return asked.evidence("inputs", finding, reason, compared)


def _classes(asked: _Asked, inputs: Finding) -> Evidence | Absence:
    stable, canary = asked.stable, asked.canary
    compared = asked.compare("classes", stable.classes, canary.classes, ANSWERS)
    if trouble := _no_rows(asked) or _no_answers(asked):
        return asked.evidence("classes", Finding.INCONCLUSIVE, trouble, compared)
    if stable.read and stable.read.kind is Kind.SCORES and not (stable.shares and canary.shares):
        return Absence("drift/classes", "the answers are numbers, not classes")
    (column,) = compared.columns
    drifted = column.finding in (Finding.WARN, Finding.FAIL) and inputs in (Finding.WARN, Finding.FAIL)
    reason = column.reason + ("; the requests differ, too: see drift/inputs" if drifted else "")
    return asked.evidence("classes", column.finding, reason, compared)


def _scores(asked: _Asked) -> Evidence:
    compared = asked.compare("scores", asked.stable.outputs, asked.canary.outputs, ANSWERS)
    if trouble := _no_rows(asked) or _no_answers(asked):
        return asked.evidence("scores", Finding.INCONCLUSIVE, trouble, compared)
    reason = _reason(compared)
    if compared.finding in (Finding.WARN, Finding.FAIL):
        reason += "; this decides nothing, as a better model answers differently, too"
    return asked.evidence("scores", _at_most_warn(compared.finding), reason, compared)


def _world(asked: _Asked, reference: drift.Profile | None, inputs: Finding) -> Evidence | Absence:
    """Both tracks together, as one set of requests: whatever the world does, it does to both."""
    if reference is None:
        return Absence("drift/world", "no reference profile")
    tracks = [track.inputs for track in (asked.stable, asked.canary) if track.inputs.tallies]
    names = [tally.column.name for tally in reference.tallies if _is_alike(tally.column.name, tracks)]
    current = drift.merge([track.only(names) for track in tracks])
    compared = asked.compare("world", reference.only(names), current, WORLD)
    finding = compared.finding
    reason = "" if current.rows else drift.no_rows_reason(reference.rows, current.rows, WORLD)
    reason = reason or _reason(compared) or "the reference profile has none of the inputs"
    if finding in (Finding.WARN, Finding.FAIL):
        alike = inputs is Finding.PASS
        blame = "both tracks alike, so the canary is not to blame: the world has changed, retraining may help"
        reason += f"; {blame}" if alike else "; whether both tracks alike cannot be told: see drift/inputs"
    return asked.evidence("world", _at_most_warn(finding), reason, compared)


def _reason(compared: drift.Comparison) -> str:
    if not compared.columns:
        return ""
    first, *others = compared.by_severity
    if compared.finding is Finding.PASS:
        return f"none of {len(compared.columns)} columns drifted; most moved {first.name}: {first.reason}"
    alike = [column.name for column in others if column.finding is first.finding]
    return f"{first.name}: {first.reason}" + (f"; likewise {len(alike)} more, for example {alike[0]}" if alike else "")


def _no_rows(asked: _Asked) -> str:
    """Who has none, if so."""
    settings = replace(SIDES, alpha=asked.plan.alpha, fail=asked.plan.fail, rows="recorded requests")
    rows = asked.stable.rows, asked.canary.rows
    return "" if all(rows) else drift.no_rows_reason(*rows, settings)


def _no_answers(asked: _Asked) -> str:
    """Whose requests have no answer, if so. A failed request is no prediction."""
    for name, track in (("the canary", asked.canary), ("stable", asked.stable)):
        if not track.outputs.rows:
            return f"none of {name}'s {track.rows:,} recorded requests has an answer: there are no predictions to compare"
    return ""


def _at_most_warn(finding: Finding) -> Finding:
    return Finding.WARN if finding is Finding.FAIL else finding


def _count(batches: Iterable[Any], like: _Track, entity: str) -> _Track:
    """Count one track, in one pass; with the layouts of `like`, so that both can be compared."""
    inputs, outputs, mix = (drift.BatchCounter(profile.layout, entity) for profile in (like.inputs, like.outputs, like.classes))
    rows, read, shares = 0, like.read, True
    for batch in batches:
        rows += batch.num_rows
        inputs.add(_part(batch, INPUT))
        answers = classes.answered(_part(batch, OUTPUT, entity))
        if not answers.num_rows:
            continue
        outputs.add(answers)
        read = read or _reading(answers)
        said, within = classes.said(answers, read)
        shares = shares and within
        mix.add(_of_classes(said, answers, entity))
    return _Track(rows, inputs.profile(), outputs.profile(), mix.profile(), read, shares)


def _reading(answers: Any) -> Reading:
    """How the first answer says its class."""
    first = answers.slice(0, 1).to_pylist()[0]
    return reading({name.removeprefix(OUTPUT): value for name, value in first.items() if name.startswith(OUTPUT)})


def _of_classes(said: list[str | None], answers: Any, entity: str) -> Any:
    import pyarrow as pa

    beside = {entity: answers.column(entity)} if entity and entity in answers.schema.names else {}
    return pa.record_batch({"output.class": pa.array(said, pa.string()), **beside})


def _part(batch: Any, prefix: str, beside: str = "") -> Any:
    return batch.select([i for i, name in enumerate(batch.schema.names) if name.startswith(prefix) or (beside and name == beside)])


def _input(name: str) -> str:
    """The name that an input has in requests."""
    return name if not name or name.startswith(INPUT) else INPUT + name


def _as_inputs(reference: drift.Profile) -> drift.Profile:
    """With the names that the columns have in requests."""
    if any(tally.column.name.startswith(INPUT) for tally in reference.tallies):
        return reference
    renamed = (replace(tally, column=replace(tally.column, name=INPUT + tally.column.name)) for tally in reference.tallies)
    return drift.Profile(reference.rows, tuple(renamed))


def _is_alike(name: str, tracks: list[drift.Profile]) -> bool:
    """Whether the tracks have the column, and as the same kind, so that they can be added up."""
    tallies = [track.of(name) for track in tracks]
    return all(tally and tallies[0] and tally.column == tallies[0].column for tally in tallies)
