"""Six releases that could have happened, as records with their timelines; the golden pages are made from them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.fakes import weighing
from tfcanary.core.domain import UNDECIDED, Absence, Decision, Evidence, Finding, Interval, Look, ModelVersion, Verdict
from tfcanary.core.plan import DriftPlan, OnUndecided, Plan, PredictionsPlan, StagePlan
from tfcanary.core.record import Ended, Export, Judged, Record, Release, State
from tfcanary.core.timeline import Point, Timeline
from tfcanary.decide.drift import ColumnResult, Comparison
from tfcanary.decide.drift.comparison_result import Bar
from tfcanary.decide.drift.layout import ColumnKind
from tfcanary.report import SignaturePairs, SignatureRow

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STABLE = ModelVersion(2, "gs://models/digits/2", "sha256:" + "2b7e" * 16)
OLDER = ModelVersion(1, "gs://models/digits/1", "sha256:" + "1a5c" * 16)
CANDIDATE = ModelVersion(3, "gs://models/digits/3", "sha256:" + "3f91" * 16)
EXPORT = Export("gs://exports/digits/12", CANDIDATE.digest, "9c1f2e7", "train-digits-4711")
RATIO = "ratio to stable"


def after(minutes: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(minutes=minutes)


def errors(estimate: float, counts: tuple[int, int, int, int], finding: Finding, reason: str, width: float = 2.1) -> Evidence:
    """The errors criterion: errors and requests of the canary, then of the stable."""
    names = ("canary errors", "canary requests", "stable errors", "stable requests")
    convicts = finding is Finding.FAIL
    statistics = {"alpha spent": 0.0152, "e-value for rollback": 812.0 if convicts else 0.4, "needed for rollback": 65.8}
    figures: dict[str, float | str] = {**dict(zip(names, counts, strict=True)), **statistics}
    interval = Interval(estimate / width, estimate, estimate * width)
    return Evidence("metrics/errors", finding, reason, unit=RATIO, interval=interval, tolerance=1.1, margin=1.5, figures=figures)


def latency(low: float, estimate: float, high: float, finding: Finding, reason: str, tail: bool = False) -> Evidence:
    """The latency criterion, as a whole or of the slowest 1 %."""
    about, tolerance, margin = ("metrics/latency/slowest-1", 1.08, 1.25) if tail else ("metrics/latency", 1.03, 1.10)
    return Evidence(about, finding, reason, unit=RATIO, interval=Interval(low, estimate, high), tolerance=tolerance, margin=margin)


def quality(low: float, estimate: float, high: float, finding: Finding) -> Evidence:
    """The mean quality, lower is worse: the margin lies left of the tolerance."""
    reason = "mean confidence is 0.1 % above stable's"
    interval = Interval(low, estimate, high)
    return Evidence("metrics/quality", finding, reason, unit="share", interval=interval, tolerance=-0.003, margin=-0.010)


def guard(about: str, reason: str, finding: Finding = Finding.PASS) -> Evidence:
    """A guard has no interval."""
    return Evidence(f"guard/{about}", finding, reason)


GUARDS = (
    guard("crash", "the canary answers, or stable does not either"),
    guard("silence", "the canary counted requests in every window"),
)
HEALTHY = (
    errors(0.92, (21, 10_480, 22, 10_510), Finding.PASS, "errors 0.92 times stable's (21 of 10,480 against 22 of 10,510)", 1.48),
    latency(0.985, 1.004, 1.022, Finding.PASS, "answers take 1.004 times as long as stable's"),
    latency(0.91, 1.02, 1.14, Finding.PASS, "the slowest 1 % take 1.02 times as long as stable's", tail=True),
    quality(-0.0012, 0.0010, 0.0031, Finding.PASS),
    *GUARDS,
)
ABSENT = (Absence("metrics/classes", "absent by plan"),)
VALIDATED = Look(
    "validate",
    (
        Evidence("savedmodel/loads", Finding.PASS, "it loads in 1.9 s and answers batches of 1, 2 and 8", figures={"seconds": 1.9}),
        Evidence("savedmodel/signature", Finding.PASS, "serving_default takes and gives what stable's does"),
        Evidence("savedmodel/operations", Finding.PASS, "no operation touches files or the network", figures={"operations": 214}),
        Evidence("savedmodel/finite", Finding.PASS, "no weight is NaN or infinite", figures={"parameters": 1_199_882}),
        Evidence("savedmodel/size", Finding.WARN, "it is 1.6 times as large as stable", gating=False, figures={"bytes": 4_812_331}),
    ),
)
PAIRED = Look(
    "compare",
    (
        Evidence(
            "predictions/accuracy",
            Finding.PASS,
            "accuracy 97.8 % against stable's 97.2 % on the same 500 requests",
            unit="share",
            interval=Interval(-0.004, 0.006, 0.016),
            tolerance=0.0,
            margin=-0.02,
            figures={"requests": 500, "candidate right": 489, "stable right": 486, "changed answers": 9},
        ),
    ),
)


def verdict(decision: Decision, reason: str, stage: int, weight: int, minutes: float, evidence: tuple[Evidence, ...]) -> Verdict:
    """A verdict so many minutes after noon."""
    return Verdict(decision, reason, evidence, ABSENT, stage, weight, after(minutes))


def timeline(parts: tuple[tuple[int, int, float, float], ...], final: tuple[Evidence, ...], rate: float = 16.0) -> Timeline:
    """Stages as (stage, weight, begin, end) in minutes; intervals close in on the final ones as requests come."""
    points: list[Point] = []
    stable = canary = 0.0
    for stage, weight, begin, end in parts:
        for i in range(round((end - begin) * 6) + 1):
            # A slow wave, so that the columns differ.
            now = rate * 10 * (1 + 0.25 * math.sin((begin + i / 6) / 3))
            if points:
                polls = (after(begin + i / 6) - points[-1].at).total_seconds() / 10
                share = (weight if i else points[-1].weight) / 100
                stable, canary = stable + now * polls * (1 - share), canary + now * polls * share
            points.append(_point(after(begin + i / 6), stage, weight, stable, canary, final))
    return Timeline(tuple(points))


def _point(at: datetime, stage: int, weight: int, stable: float, canary: float, final: tuple[Evidence, ...]) -> Point:
    whole = next((float(e.figures["canary requests"]) for e in final if "canary requests" in e.figures), 1000.0)
    share = min(max(canary, 1.0) / whole, 1.0)
    known = {e.about: _wider(e, share) for e in final if e.interval and canary > 20}
    decided = share > 0.97
    findings = {e.about: e.finding if decided or e.interval is None else Finding.INCONCLUSIVE for e in final}
    return Point(at, weight, round(stable), round(canary), findings, known, stage)


def _wider(evidence: Evidence, share: float) -> Interval:
    """As the interval was when only a share of the requests had come."""
    assert evidence.interval
    grow = min(1 / math.sqrt(share), 12.0)
    low, mid, high = evidence.interval.low, evidence.interval.estimate, evidence.interval.high
    if evidence.unit == RATIO:
        return Interval(mid * (low / mid) ** grow, mid, mid * (high / mid) ** grow)
    return Interval(mid + (low - mid) * grow, mid, mid + (high - mid) * grow)


def begun(plan: Plan, run_id: str) -> Release:
    """A release whose candidate was validated and pushed."""
    fresh = Release(run_id=run_id, plan=plan, plan_digest="sha256:" + "77c0" * 16, began=after(-6), export=EXPORT, candidate=CANDIDATE)
    looked = replace(fresh, looks={"validate": VALIDATED}).happened(after(-5), "validate: pass")
    return looked.happened(after(-4), "pushed to gs://models/digits/3").happened(after(-1), "deployed: 2 servers are AVAILABLE")


def record(release: Release) -> Record:
    """With an earlier release in its history."""
    earlier = Ended("run-0007", State.PROMOTED, 2, "every criterion passed", after(-3000), after(-2940), Export("gs://exports/digits/11"))
    return Record("digits", "1.0.0", STABLE, (OLDER,), release, (earlier,))


def shifted(release: Release, stage: int, minutes: float) -> Release:
    """With the weight of a stage, and with the place of the judge's state."""
    weight = release.plan.weights[stage]
    first = release.first_traffic or after(minutes)
    judged = Judged(f"digits/releases/{release.run_id}/{stage + 1:08}.json", 1)
    begun = weighing(replace(release, state=State.WATCHED, stage=stage, first_traffic=first, judged=judged), weight)
    return replace(begun, stage_began=after(minutes)).happened(after(minutes), f"stage {stage}: weight {weight} %")


def judged(release: Release, said: Verdict) -> Release:
    """With what a stage ended with."""
    done = replace(release, watched=(*release.watched, said), verdicts=(*release.verdicts, said))
    assert said.at
    return done.happened(said.at, f"stage {said.stage}: {said.decision.value}: {said.reason}")


def closed(release: Release, state: State, reason: str, minutes: float) -> Release:
    """Over."""
    ended = weighing(replace(release, state=state, reason=reason, ended=after(minutes)), 100 if state is State.PROMOTED else 0)
    return ended.happened(after(minutes), f"{state.value}: {reason}")


def promoted() -> tuple[Record, Timeline]:
    """Three stages, all well, with the default plan and paired predictions."""
    release = begun(Plan(predictions=PredictionsPlan(source="gs://data/golden.jsonl")), "run-0008")
    release = replace(release, looks={**release.looks, "compare": PAIRED}).happened(after(-0.5), "compare: pass")
    for stage, (begin, end, to) in enumerate(((0, 5, 25), (6, 11, 50))):
        weight = release.plan.weights[stage]
        said = f"nothing speaks against {weight} % after {200 * (stage + 1)} canary requests: on to {to} %"
        release = judged(shifted(release, stage, begin), verdict(Decision.ADVANCE, said, stage, weight, end, HEALTHY))
    why = "every criterion passed after 10,480 canary requests"
    release = judged(shifted(release, 2, 12), verdict(Decision.PROMOTE, why, 2, 50, 32, HEALTHY))
    done = replace(record(closed(release, State.PROMOTED, why, 33)), stable=CANDIDATE, previous=(STABLE, OLDER))
    return done, timeline(((0, 5, 0, 5), (1, 25, 6, 11), (2, 50, 12, 32)), HEALTHY, rate=14.9)


def rolled_back() -> tuple[Record, Timeline]:
    """Errors at stage 2 (50 %)."""
    why = "errors 4.1 times stable's (39 of 1,720 against 24 of 4,330)"
    bad = errors(4.1, (39, 1_720, 24, 4_330), Finding.FAIL, why, 1.9)
    slow = latency(0.96, 1.03, 1.11, Finding.INCONCLUSIVE, "answers take 1.03 times as long as stable's: promotion must exclude 1.1")
    evidence = (bad, slow, *GUARDS)
    release = begun(Plan(drift=DriftPlan()), "run-0009")
    calm = (replace(bad, finding=Finding.INCONCLUSIVE, reason="4 errors are too few to tell"), slow, *GUARDS)
    first, second = (
        f"nothing speaks against {here} % after {n} canary requests: on to {to} %" for here, n, to in ((5, 205, 25), (25, 975, 50))
    )
    release = judged(shifted(release, 0, 0), verdict(Decision.ADVANCE, first, 0, 5, 5, calm))
    drift = Look("drift-0", (Evidence("drift/classes", Finding.INCONCLUSIVE, "228 rows are too few to tell", figures={"rows": 228}),))
    release = replace(release, looks={**release.looks, "drift-0": drift})
    release = judged(shifted(release, 1, 6), verdict(Decision.ADVANCE, second, 1, 25, 11, calm))
    release = judged(shifted(release, 2, 12), verdict(Decision.ROLLBACK, why, 2, 50, 13.5, evidence))
    return record(closed(release, State.ROLLED_BACK, why, 13.6)), timeline(
        ((0, 5, 0, 5), (1, 25, 6, 11), (2, 50, 12, 13.5)), evidence, rate=11.7
    )


def refused_by_validation() -> tuple[Record, Timeline | None]:
    """The signature changed: nothing was copied."""
    why = "output `scores` was float32 [?, 10] and is float32 [?, 12]: clients of stable would break"
    evidence = (
        *VALIDATED.evidence[:1],
        Evidence("savedmodel/signature", Finding.FAIL, why, figures={"changed": 1, "removed": 1}),
        Evidence("savedmodel/operations", Finding.WARN, "it reads a file at serving time: ReadFile in `preprocess/read`"),
        *VALIDATED.evidence[3:],
    )
    release = replace(begun(Plan(), "run-0010"), candidate=None, events=(), looks={"validate": Look("validate", evidence)})
    return record(closed(release.happened(after(-5), "validate: fail"), State.REFUSED, why, -5)), None


def refused_by_predictions() -> tuple[Record, Timeline | None]:
    """Worse on the same requests, before any traffic."""
    why = "accuracy 91.4 % against stable's 97.2 % on the same 500 requests: the interval excludes a loss below 2 %"
    worse = replace(
        PAIRED.evidence[0],
        finding=Finding.FAIL,
        reason=why,
        interval=Interval(-0.081, -0.058, -0.036),
        figures={"requests": 500, "candidate right": 457, "stable right": 486, "changed answers": 43},
    )
    release = begun(Plan(predictions=PredictionsPlan(source="gs://data/golden.jsonl", limit=200)), "run-0011")
    looked = replace(release, looks={**release.looks, "compare": Look("compare", (worse,))}).happened(after(0), "compare: fail")
    return record(closed(looked, State.REFUSED, why, 0.1)), None


def undecided() -> tuple[Record, Timeline]:
    """Too little traffic for the time there was, with a plan that is weaker than the defaults."""
    stage = StagePlan(timedelta(seconds=60), timedelta(minutes=15), timedelta(seconds=5), OnUndecided.ROLLBACK)
    plan = Plan(weights=(10,), stage=stage)
    judge = replace(plan.judge, latency=None, minimum_time=timedelta(minutes=2), errors=replace(plan.judge.errors, margin=1.0))
    few = errors(1.3, (2, 96, 15, 870), Finding.INCONCLUSIVE, "2 errors of 96 canary requests are too few to exclude twice stable's", 6.2)
    why = "undecided after 900 s: 2 errors of 96 canary requests are too few to exclude twice stable's"
    late = Evidence(UNDECIDED, Finding.INCONCLUSIVE, why)
    evidence = (late, replace(few, margin=2.0), guard("silence", "no request for 40 s", Finding.INCONCLUSIVE))
    release = shifted(begun(replace(plan, judge=judge), "run-0012"), 0, 0)
    release = judged(release, verdict(Decision.ROLLBACK, why, 0, 10, 15, evidence))
    return record(closed(release, State.ROLLED_BACK, why, 15.1)), timeline(((0, 10, 0, 15),), evidence, rate=1.07)


def bootstrap() -> tuple[Record, Timeline | None]:
    """The first release: no stable to compare with."""
    why = "the first release of digits: there was no stable version to compare with, and the plan says bootstrap"
    first = replace(CANDIDATE, number=1, uri="gs://models/digits/1")
    release = replace(begun(Plan(bootstrap=True), "run-0001"), candidate=first, first_traffic=after(0))
    release = weighing(release, 100).happened(after(0), "weight 100 %")
    return Record("digits", "1.0.0", first, (), closed(release, State.PROMOTED, why, 1)), None


def watched() -> Record:
    """The release of `rolled_back` while it is active."""
    record, _ = rolled_back()
    assert record.release
    return replace(record, release=replace(record.release, state=State.WATCHED, ended=None, reason=""))


def column(name: str, finding: Finding, labels: tuple[str, ...]) -> ColumnResult:
    """A column whose rows moved from the first value to the last ones."""
    shares = tuple(Bar(label, 0.4 - 0.1 * i, 0.1 + 0.1 * i) for i, label in enumerate(labels))
    return ColumnResult(name, ColumnKind.CATEGORY, finding, f"{labels[0]}: 10 % against 40 %", 0.3, 1_000, 1_000, bars=shares)


def drifted() -> Comparison:
    """A category and a number that drifted, and a column that did not."""
    countries, ages = ("Germany", "France", "Italy", "all others"), ("up to 29.0", "up to 40.5", "up to 82.2")
    columns = (column("country", Finding.FAIL, countries), column("age", Finding.WARN, ages), column("same", Finding.PASS, ("a", "b")))
    return Comparison(columns, 1_000, 1_000, 0.01)


RELEASES = {
    "promoted": promoted,
    "rolled_back": rolled_back,
    "refused_by_validation": refused_by_validation,
    "refused_by_predictions": refused_by_predictions,
    "undecided": undecided,
    "bootstrap": bootstrap,
}

PAIRS = SignaturePairs(
    "serving_default",
    (
        SignatureRow("images", "input", "float32 [?, 28, 28]", "float32 [?, 28, 28]"),
        SignatureRow("scores", "output", "float32 [?, 10]", "float32 [?, 12]"),
        SignatureRow("classes", "output", "int64 [?]", None),
        SignatureRow("embedding", "output", None, "float32 [?, 64]"),
    ),
)

ALIKE = SignaturePairs("serving_default", PAIRS.rows[:1])
