"""Sends the same requests to both tracks and compares the answers, before any user gets an answer of the candidate.

The step `compare_predictions` calls it. The plan limits the number of requests and their rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from statistics import median

from tfcanary.core.domain import Absence, Evidence, Finding, Interval, Look, Prediction, Request, Track
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import PredictionsPlan
from tfcanary.core.ports import Clock, Predictor
from tfcanary.look.evaluate import betting, slices
from tfcanary.look.evaluate.tally import CLASS, Tally, display_text

TOO_MANY = 10_000_000
"""Number of rows beyond which a sentence does not name the number that would decide a question."""


def compare(
    predictor: Predictor,
    requests: Iterable[Request],
    plan: PredictionsPlan,
    clock: Clock,
    progress: Callable[[int], None] | None = None,
) -> Look:
    """Send the requests to both tracks and compare their answers row by row.

    `progress` gets the number of requests after each one. A track that does not answer at all ends the comparison as inconclusive.
    Raises Refused where a request cannot be read.
    """
    return compare_pairs(_ask_both(predictor, requests, plan, clock), plan, progress)


def compare_pairs(
    pairs: Iterable[tuple[Request, Prediction, Prediction]], plan: PredictionsPlan, progress: Callable[[int], None] | None = None
) -> Look:
    """Compare stable's and the canary's answers to the same requests, row by row.

    All pairs are compared, up to the plan's limit, also where the accuracy is decided early: each pair may be the first that only the
    canary fails. `progress` gets the number of requests after each one.
    """
    tally = Tally(names=plan.slices)
    try:
        for request, stable, canary in islice(pairs, plan.limit):
            tally.add(request, stable, canary)
            if progress:
                progress(tally.sent)
    except Unavailable as error:
        tally.unreachable = str(error)
    results = [_answers(tally, plan.limit)]
    if tally.rows:
        results += [_finite(tally), _flips(tally, plan), _accuracy(tally, plan), _slices(tally, plan), _latency(tally)]
    evidence = tuple(one for one in results if isinstance(one, Evidence))
    return Look("compare", evidence, tuple(one for one in results if isinstance(one, Absence)))


def _ask_both(
    predictor: Predictor, requests: Iterable[Request], plan: PredictionsPlan, clock: Clock
) -> Iterator[tuple[Request, Prediction, Prediction]]:
    """Both answers to each request, not faster than the plan allows; the tracks take turns in getting a request first."""
    began = None
    for number, request in enumerate(requests):
        if began is not None and (early := 1 / plan.rate - (clock.now() - began).total_seconds()) > 0:
            clock.sleep(early)
        began = clock.now()
        turn = (Track.STABLE, Track.CANARY) if number % 2 == 0 else (Track.CANARY, Track.STABLE)
        answers = {track: predictor.predict(track, request) for track in turn}
        yield request, answers[Track.STABLE], answers[Track.CANARY]


def _answers(tally: Tally, limit: int) -> Evidence | Absence:
    """Whether both tracks answered every request; the only question that is asked even without anything to compare."""
    finding, reason = _answers_finding(tally)
    if tally.sent >= limit:
        reason += f"; no more than {limit:,} requests are compared (predictions.limit)"
    figures: dict[str, float | str] = {
        "requests": tally.sent,
        "answered": tally.answered,
        "failed_on_canary_only": tally.canary_failed,
        "failed_on_stable_only": tally.stable_failed,
        "failed_on_both": tally.both_failed,
    }
    return Evidence("predictions/answers", finding, reason, figures=figures)


def _answers_finding(tally: Tally) -> tuple[Finding, str]:
    sent, first = tally.sent, tally.first
    if tally.canary_failed:
        return Finding.FAIL, f"the canary failed {tally.canary_failed} of {sent} requests that stable answered; first {first['canary']}"
    if tally.other_form:
        return (
            Finding.FAIL,
            f"the canary answers {tally.other_form} of {sent} requests in another form, which breaks clients; first {first['form']}",
        )
    if tally.unreachable:
        return Finding.INCONCLUSIVE, f"stopped after {sent} requests: {tally.unreachable}"
    if not sent:
        return Finding.INCONCLUSIVE, "the source holds no requests: nothing was compared"
    if not tally.answered:
        trouble = first.get("both") or first["stable"]
        return Finding.INCONCLUSIVE, f"stable answered none of {sent} requests: nothing was compared; first {trouble}"
    if not tally.rows:
        return Finding.INCONCLUSIVE, f"both tracks answered {tally.answered} requests, but without any rows: nothing was compared"
    if failed := tally.stable_failed + tally.both_failed:
        trouble = first.get("both") or first["stable"]
        finding = Finding.WARN if failed < tally.answered else Finding.INCONCLUSIVE
        return finding, f"stable failed {failed} of {sent} requests, they are not compared; first {trouble}"
    if tally.other_size:
        return Finding.WARN, f"outputs have another number of values than stable's in {tally.other_size} of {tally.rows} rows"
    return Finding.PASS, f"both tracks answered {sent:,} of {sent:,} requests"


def _finite(tally: Tally) -> Evidence | Absence:
    """Whether all numbers are finite: answers with NaN or infinity have the status 200, so no error rate shows them."""
    about = "predictions/finite"
    figures: dict[str, float | str] = {
        "rows": tally.rows,
        "broken_on_canary_only": tally.canary_broken,
        "broken_on_both": tally.both_broken,
    }
    if not tally.with_numbers:
        return Absence(about, "the answers hold no numbers")
    if tally.canary_broken:
        reason = f"{tally.canary_broken:,} of {tally.rows:,} rows of the canary hold NaN, null or infinity where stable has numbers"
        return Evidence(about, Finding.FAIL, reason, figures=figures)
    if tally.both_broken:
        reason = f"{tally.both_broken} of {tally.rows} rows hold NaN, null or infinity on both tracks"
        return Evidence(about, Finding.WARN, reason, figures=figures)
    return Evidence(
        about, Finding.PASS, f"all numbers in {tally.with_numbers:,} of {tally.rows:,} rows of the canary are finite", figures=figures
    )


def _flips(tally: Tally, plan: PredictionsPlan) -> Evidence | Absence:
    """The number of rows with another class; it gates only where the plan has a limit."""
    about, gating = "predictions/flips", plan.flips is not None
    figures: dict[str, float | str] = {
        "rows": tally.rows,
        "flips": tally.flips,
        "compared": tally.readings_text,
        "largest_change": tally.largest,
        "mean_change": tally.total / max(1, tally.numbers),
        **_flips_by_slice(tally),
        **{f"worst_{rank}": row[-1] for rank, row in enumerate(sorted(tally.worst, reverse=True), 1)},
    }
    change = f"numbers change by {_number(tally.total / max(1, tally.numbers))} on average and {_number(tally.largest)} at most"
    if not tally.has_classes:
        finding = Finding.INCONCLUSIVE if gating else Finding.PASS
        return Evidence(about, finding, f"the answers are numbers, not classes, so none can flip; {change}", gating, figures=figures)
    interval = betting.share(tally.flips, tally.rows, plan.alpha)
    reason = f"{tally.flips} of {tally.rows} answers changed: {interval.estimate:.1%} ({interval.low:.1%} to {interval.high:.1%})"
    if plan.flips is None:
        return Evidence(about, Finding.PASS, f"{reason}; {change}", gating, "share of rows", interval, figures=figures)
    limit = plan.flips

    def finding_at(times: float) -> Finding:
        return _below(betting.share(tally.flips * times, tally.rows * times, plan.alpha), limit)

    reason = f"{reason}, allowed {limit:.1%}{_needed(finding_at, tally.rows, 'rows')}; {change}"
    return Evidence(about, finding_at(1), reason, gating, "share of rows", interval, tolerance=limit, figures=figures)


def _flips_by_slice(tally: Tally) -> dict[str, float | str]:
    """The classes and slices in which most answers changed."""
    most = sorted(tally.slices.by_name.items(), key=lambda one: (-one[1].flips / max(1, one[1].rows), one[0]))[: slices.IN_SENTENCE]
    return {f"flips {display_text(name)}": f"{one.flips} of {one.rows}" for name, one in most if one.flips}


def _slices(tally: Tally, plan: PredictionsPlan) -> Evidence | Absence:
    """Whether the canary is worse than stable in a slice of the requests, even where it is not on the whole."""
    about = "predictions/slices"
    parts = {name: one for name, one in tally.slices.by_name.items() if one.labelled and not name.startswith(f"{CLASS}=")}
    if not plan.slices or not parts or _not_comparable(tally):
        return Absence(about, "no labels to judge the slices by" if plan.slices else "absent by plan")
    alpha = plan.alpha / len(parts)
    intervals = {
        display_text(name): betting.paired_difference(one.only_canary_right, one.only_stable_right, one.labelled, alpha)
        for name, one in parts.items()
    }
    return slices.slices_evidence(intervals, plan.accuracy_margin, about, gating=True)


def _accuracy(tally: Tally, plan: PredictionsPlan) -> Evidence | Absence:
    """Whether the canary's accuracy is not worse than stable's by more than the margin, on the same labelled rows."""
    about, n = "predictions/accuracy", tally.labelled
    if not tally.labels:
        return Absence(about, "the requests carry no labels")
    if trouble := _not_comparable(tally):
        return Evidence(about, Finding.INCONCLUSIVE, f"{tally.labels} requests carry a label, but {trouble}", margin=-plan.accuracy_margin)

    def finding_at(times: float) -> Finding:
        return betting.not_below(_difference(tally, times, plan.alpha), -plan.accuracy_margin)

    interval = _difference(tally, 1, plan.alpha)
    digits = 2 if plan.accuracy_margin >= 0.01 else 4
    reason = (
        f"accuracy {tally.canary_right / n:.{digits}f} against stable's {tally.stable_right / n:.{digits}f} on {n} labelled requests: "
        f"difference {interval.estimate:+.{digits}f} ({interval.low:+.{digits}f} to {interval.high:+.{digits}f}), "
        f"allowed {-plan.accuracy_margin:.{digits}f}{_needed(finding_at, n, 'labelled requests')}"
    )
    figures: dict[str, float | str] = {
        "labelled": n,
        "stable_accuracy": tally.stable_right / n,
        "canary_accuracy": tally.canary_right / n,
        "only_stable_right": tally.only_stable_right,
        "only_canary_right": tally.only_canary_right,
        "compared": tally.readings_text,
    }
    unit = "difference of accuracy, canary - stable"
    return Evidence(about, finding_at(1), reason, unit=unit, interval=interval, margin=-plan.accuracy_margin, figures=figures)


def _not_comparable(tally: Tally) -> str:
    """Why labels and answers cannot be compared; empty where they can."""
    if not tally.labelled:
        return "none of their answers has exactly one row: a label belongs to one row"
    if not tally.has_classes:
        return "the answers are numbers, not classes, so there is no accuracy; leave the labels out to compare without them"
    if not tally.stable_right and not tally.canary_right:
        return (
            f"no answer of either track equals its label ({tally.readings_text}): are the labels written as the model writes its classes?"
        )
    return ""


def _difference(tally: Tally, times: float, alpha: float) -> Interval:
    """Interval for the canary's accuracy minus stable's, with every request counted `times` times."""
    return betting.paired_difference(tally.only_canary_right * times, tally.only_stable_right * times, tally.labelled * times, alpha)


def _latency(tally: Tally) -> Evidence | Absence:
    """The latency of both tracks; it never gates, as it comes from some hundred single requests to servers without other load."""
    if not any(tally.stable_seconds):
        return Absence("predictions/latency", "recorded answers have no latency")
    stable, canary = (1000 * median(seconds) for seconds in (tally.stable_seconds, tally.canary_seconds))
    figures: dict[str, float | str] = {
        "requests": tally.answered,
        "stable_median_ms": stable,
        "canary_median_ms": canary,
        "stable_slowest_ms": 1000 * max(tally.stable_seconds),
        "canary_slowest_ms": 1000 * max(tally.canary_seconds),
    }
    reason = f"median {_number(canary)} ms against stable's {_number(stable)} ms over {tally.answered} requests, sent one by one"
    return Evidence("predictions/latency", Finding.PASS, reason, gating=False, unit="ms", figures=figures)


def _below(interval: Interval, bound: float) -> Finding:
    if interval.high <= bound:
        return Finding.PASS
    return Finding.FAIL if interval.low > bound else Finding.INCONCLUSIVE


def _needed(finding_at: Callable[[float], Finding], n: int, what: str) -> str:
    """The part of a sentence that names the number of rows that would decide an undecided question; empty for a decided one."""
    times = 1.0
    while finding_at(times) is Finding.INCONCLUSIVE:
        times *= 1.1
        if n * times > TOO_MANY:
            return f"; too close to the limit for any number of {what} to decide"
    needed = n * times
    scale = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return f"; about {math.ceil(needed / scale) * scale} {what} would decide" if times > 1 else ""


def _number(value: float) -> str:
    return f"{value:.3g}"
