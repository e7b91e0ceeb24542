"""Compares the distributions of the canary's requests and answers with stable's of the same minutes, and both with a reference.

The step `evaluate_drift` calls `evaluate` with the recorded requests of a stage's window. A difference of the inputs is a fault of the
split. A difference of the classes may decide. A difference of the scores never decides, as a better model also has other scores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tfcanary.core.domain import Absence, Evidence, Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import DriftPlan
from tfcanary.decide import drift
from tfcanary.look.evaluate import attribution, classes, references
from tfcanary.look.evaluate.answers import Kind, Reading, choose_reading
from tfcanary.look.evaluate.tally import display_text
from tfcanary.tf.wire.bodies import INPUT, OUTPUT

MAY_GATE = ("inputs", "classes")
"""Comparisons that the plan may let decide."""
OF_INPUTS = ("inputs", "world")
"""Comparisons of requests, for which the plan's columns and weights hold."""
COLUMNS_IN_FIGURES = 5
"""Number of columns whose effect is among the figures."""
LONGEST = 1_000
"""Largest number of characters of a reason, which contains names and values from requests."""
SIDES = drift.ComparisonSettings(reference="stable", current="the canary")
ANSWERS = drift.ComparisonSettings(reference="stable", current="the canary", rows="answers")
WORLD = drift.ComparisonSettings(reference="the reference", current="this window", rows="requests")


def evaluate(stable: Iterable[Any], canary: Iterable[Any], plan: DriftPlan, look: int, reference: drift.Profile | None = None) -> Look:
    """Compare the recorded requests of both tracks with one another, and both together with a reference.

    Args:
        stable: Arrow record batches with columns `input.<name>` and `output.<name>`, one row for each row of a request. Where all outputs
            are null the request failed: it counts as a request, not as a prediction.
        canary: Record batches of the canary for the same minutes, with the same columns.
        plan: The limits of drift, and the comparisons that may decide.
        look: Number of this look in the release, from 1 on.
        reference: Profile of the training data; the names of its columns may lack the prefix `input.`.

    Raises Refused where a batch cannot be counted, or where the plan names a comparison in `gating` that cannot decide.
    """
    for about in plan.gating:
        if about not in MAY_GATE:
            raise Refused(f"drift.gating: {about!r} cannot decide; {' and '.join(MAY_GATE)} can")
    world = _usable(reference, plan.entity)
    empty = _TrackCounts(inputs=world if isinstance(world, drift.Profile) else drift.Profile())
    first = _count(stable, empty, _input(plan.entity))
    tracks = _TrackPair(first, _count(canary, first if first.rows else empty, _input(plan.entity)), plan, look)
    inputs = _inputs(tracks)
    results = (inputs, _classes(tracks, inputs.finding), _scores(tracks), _world(tracks, world, inputs.finding))
    evidence = tuple(one for one in results if isinstance(one, Evidence))
    return Look("drift", (*evidence, attribution.evidence(evidence)), tuple(one for one in results if isinstance(one, Absence)))


@dataclass(frozen=True, slots=True)
class _TrackCounts:
    """The counts of one track."""

    rows: int = 0
    inputs: drift.Profile = drift.Profile()
    outputs: drift.Profile = drift.Profile()
    """Profile of the outputs of the answered rows."""
    classes: drift.Profile = drift.Profile()
    reading: Reading | None = None
    """The way in which an answer tells its class; None before the first answer."""
    shares: bool = True
    """Whether single scores are all between 0 and 1, so that 0.5 divides two classes."""


@dataclass(frozen=True, slots=True)
class _TrackPair:
    """The counts of both tracks, and the plan by which they are compared."""

    stable: _TrackCounts
    canary: _TrackCounts
    plan: DriftPlan
    look: int

    def compare(self, about: str, reference: drift.Profile, current: drift.Profile, sides: drift.ComparisonSettings) -> drift.Comparison:
        """Compare two profiles. Comparisons that may decide share the plan's alpha; the others each have all of it."""
        alpha = self.plan.alpha / len(self.plan.gating) if about in self.plan.gating else self.plan.alpha
        plan = self.plan
        settings = replace(sides, alpha=alpha, warn=plan.warn, fail=plan.fail, unseen=plan.unseen, missing=plan.missing)
        if about in OF_INPUTS:
            weights = {_input(name): weight for name, weight in self.plan.importance.items()}
            settings = replace(settings, columns=tuple(map(_input, self.plan.columns)), importance=weights)
        return drift.compare(reference, current, settings, self.look)

    def evidence(self, about: str, finding: Finding, reason: str, compared: drift.Comparison) -> Evidence:
        """The evidence of a comparison, with the figures that it rests on."""
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
            **{f"moved {display_text(column.name)}": round(column.effect, 6) for column in compared.by_severity[:COLUMNS_IN_FIGURES]},
        }
        gating = about in self.plan.gating
        unit, plan = "share of rows that moved", self.plan
        text = display_text(reason, LONGEST)
        return Evidence(f"drift/{about}", finding, text, gating, unit, None, plan.warn, plan.fail, figures)


def _inputs(tracks: _TrackPair) -> Evidence:
    compared = tracks.compare("inputs", tracks.stable.inputs, tracks.canary.inputs, SIDES)
    finding = compared.finding
    reason = _no_rows(tracks) or _reason(compared) or "the request log keeps no inputs"
    if finding in (Finding.WARN, Finding.FAIL):
        reason += "; requests of the same minutes should be alike on both tracks: the split is not even"
    return tracks.evidence("inputs", finding, reason, compared)


def _classes(tracks: _TrackPair, inputs: Finding) -> Evidence | Absence:
    stable, canary = tracks.stable, tracks.canary
    compared = tracks.compare("classes", stable.classes, canary.classes, ANSWERS)
    if trouble := _no_rows(tracks) or _no_answers(tracks):
        return tracks.evidence("classes", Finding.INCONCLUSIVE, trouble, compared)
    if stable.reading and stable.reading.kind is Kind.SCORES and not (stable.shares and canary.shares):
        return Absence("drift/classes", "the answers are numbers, not classes")
    (column,) = compared.columns
    both = column.finding in (Finding.WARN, Finding.FAIL) and inputs in (Finding.WARN, Finding.FAIL)
    reason = column.reason + ("; the requests also differ: see drift/inputs" if both else "")
    return tracks.evidence("classes", column.finding, reason, compared)


def _scores(tracks: _TrackPair) -> Evidence:
    compared = tracks.compare("scores", tracks.stable.outputs, tracks.canary.outputs, ANSWERS)
    if trouble := _no_rows(tracks) or _no_answers(tracks):
        return tracks.evidence("scores", Finding.INCONCLUSIVE, trouble, compared)
    reason = _reason(compared)
    if compared.finding in (Finding.WARN, Finding.FAIL):
        reason += "; this decides nothing, as a better model also has other scores"
    return tracks.evidence("scores", _at_most_warn(compared.finding), reason, compared)


def _world(tracks: _TrackPair, reference: drift.Profile | str, inputs: Finding) -> Evidence | Absence:
    """Compare both tracks together with the reference, or say why there is none: a change of the world affects both."""
    if isinstance(reference, str):
        return Absence("drift/world", reference)
    profiles = [track.inputs for track in (tracks.stable, tracks.canary) if track.inputs.tallies]
    names = [tally.column.name for tally in reference.tallies if _is_mergeable(tally.column.name, profiles)]
    current = drift.merge([profile.only(names) for profile in profiles])
    compared = tracks.compare("world", reference.only(names), current, WORLD)
    finding = compared.finding
    reason = "" if current.rows else drift.no_rows_reason(reference.rows, current.rows, WORLD)
    reason = reason or _reason(compared) or "the reference profile has none of the inputs"
    if finding in (Finding.WARN, Finding.FAIL):
        cause = "both tracks drift alike, so the canary is not the cause: the world has changed, and retraining may help"
        unknown = "it is not known whether both tracks drift alike: see drift/inputs"
        reason += f"; {cause if inputs is Finding.PASS else unknown}"
    return tracks.evidence("world", _at_most_warn(finding), reason, compared)


def _reason(compared: drift.Comparison) -> str:
    if not compared.columns:
        return ""
    first, *others = compared.by_severity
    if compared.finding is Finding.PASS:
        skipped = [column.name for column in compared.columns if column.kind is drift.ColumnKind.OTHER]
        also = f"; not compared: {', '.join(skipped)}" if skipped else ""
        return f"none of {len(compared.columns)} columns drifted; {first.name} moved most: {first.reason}{also}"
    alike = [column.name for column in others if column.finding is first.finding]
    return f"{first.name}: {first.reason}" + (f"; likewise {len(alike)} more, for example {alike[0]}" if alike else "")


def _no_rows(tracks: _TrackPair) -> str:
    """A sentence about the track without recorded requests; empty where both have some."""
    settings = replace(SIDES, alpha=tracks.plan.alpha, fail=tracks.plan.fail, rows="recorded requests")
    rows = tracks.stable.rows, tracks.canary.rows
    return "" if all(rows) else drift.no_rows_reason(*rows, settings)


def _no_answers(tracks: _TrackPair) -> str:
    """A sentence about the track whose requests all failed, as a failed request is no prediction; empty where both have answers."""
    for name, track in (("the canary", tracks.canary), ("stable", tracks.stable)):
        if not track.outputs.rows:
            return f"none of {name}'s {track.rows:,} recorded requests has an answer: there are no predictions to compare"
    return ""


def _at_most_warn(finding: Finding) -> Finding:
    return Finding.WARN if finding is Finding.FAIL else finding


def _count(batches: Iterable[Any], like: _TrackCounts, entity: str) -> _TrackCounts:
    """Count one track in one pass, with the layouts of `like`, so that both can be compared."""
    inputs, outputs, mix = (drift.BatchCounter(profile.layout, entity) for profile in (like.inputs, like.outputs, like.classes))
    rows, reading, shares = 0, like.reading, True
    for batch in batches:
        rows += batch.num_rows
        inputs.add(_part(batch, INPUT))
        answers = classes.answered_rows(_part(batch, OUTPUT, entity))
        if not answers.num_rows:
            continue
        outputs.add(answers)
        reading = reading or _reading(answers)
        names, within = classes.read_classes(answers, reading)
        shares = shares and within
        mix.add(_class_batch(names, answers, entity))
    return _TrackCounts(rows, inputs.profile(), outputs.profile(), mix.profile(), reading, shares)


def _reading(answers: Any) -> Reading:
    """The way in which the first answer tells its class."""
    first = answers.slice(0, 1).to_pylist()[0]
    return choose_reading({name.removeprefix(OUTPUT): value for name, value in first.items() if name.startswith(OUTPUT)})


def _class_batch(names: list[str | None], answers: Any, entity: str) -> Any:
    """A record batch of the classes, with the column of the entity where there is one."""
    import pyarrow as pa

    beside = {entity: answers.column(entity)} if entity and entity in answers.schema.names else {}
    return pa.record_batch({"output.class": pa.array(names, pa.string()), **beside})


def _part(batch: Any, prefix: str, beside: str = "") -> Any:
    return batch.select([i for i, name in enumerate(batch.schema.names) if name.startswith(prefix) or (beside and name == beside)])


def _input(name: str) -> str:
    """The name of an input as a column of the requests, with the prefix `input.`."""
    return name if not name or name.startswith(INPUT) else INPUT + name


def _usable(reference: drift.Profile | None, entity: str) -> drift.Profile | str:
    """The reference as requests have its columns, or why there is none: the stage is counted as its reference was."""
    if reference is None:
        return "no reference profile"
    renamed = _as_inputs(reference, entity)
    return references.counted_otherwise(reference, entity) if entity and renamed.entity != _input(entity) else renamed


def _as_inputs(reference: drift.Profile, entity: str) -> drift.Profile:
    """The reference with the names that its columns have in requests; its entity counts only where the plan asks for one."""
    if any(tally.column.name.startswith(INPUT) for tally in reference.tallies):
        return reference
    renamed = (replace(tally, column=replace(tally.column, name=INPUT + tally.column.name)) for tally in reference.tallies)
    by_group = reference.by_group if entity else None
    return drift.Profile(reference.rows, tuple(renamed), _input(reference.entity) if entity else "", by_group)


def _is_mergeable(name: str, profiles: list[drift.Profile]) -> bool:
    """Whether all profiles have the column with one kind, so that its counts can be added up."""
    tallies = [profile.of(name) for profile in profiles]
    return all(tally and tallies[0] and tally.column == tallies[0].column for tally in tallies)
