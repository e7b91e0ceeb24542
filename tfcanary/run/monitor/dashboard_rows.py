"""The rows of the dashboard: from whether a release is safe now down to how the last ones ended.

Only Grafana's variables stand in the queries; their values are labels that `families` made plain before anybody saw them.
"""

from __future__ import annotations

from typing import Any

from tfcanary.core.domain import Decision, Finding
from tfcanary.core.record import State
from tfcanary.run.monitor import panels
from tfcanary.run.monitor.panels import Panel, Query, bars, lines, stat, steps, timeline
from tfcanary.run.monitor.recordings import WINDOW

MODEL = 'namespace=~"$namespace", model=~"$model"'
STATES = {
    State.OPEN: "light-blue",
    State.WATCHED: "blue",
    State.PROMOTING: "light-green",
    State.PROMOTED: "green",
    State.REFUSED: "yellow",
    State.ROLLING_BACK: "orange",
    State.ROLLED_BACK: "red",
}
"""The later one wins where two exporters are not of one mind yet."""
DECISIONS = {Decision.HOLD: "blue", Decision.ADVANCE: "light-green", Decision.PROMOTE: "green", Decision.ROLLBACK: "red"}
FINDINGS = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.INCONCLUSIVE: "blue", Finding.FAIL: "red"}
OUTCOMES = {"promoted": "green", "rolled back": "red", "refused": "yellow"}
WATCHED_BY = {0: ("guard", "blue"), 1: ("step", "green"), 2: ("nobody: no traffic", "text")}

Json = dict[str, Any]


def newest(metric: str, *labels: str, only: str = "") -> str:
    """The value of a metric of ours for the chosen model, whoever exports it."""
    more = f", {only}" if only else ""
    return f"max by ({', '.join(('model', *labels))}) ({metric}{{{MODEL}{more}}})"


def of_track(recorded: str) -> str:
    """A recorded series of the chosen model, by track."""
    return f"max by (track, version) ({recorded}{{{MODEL}}})"


def coded(metric: str, label: str, values: list[str], by: str = "model") -> str:
    """The place in the list of the value whose series is 1."""
    parts = [
        f'max by ({by}) ({metric}{{{MODEL}, {label}="{value}"}} == 1) * {place}' for place, value in reversed(list(enumerate(values, 1)))
    ]
    return "\nor ".join(parts)


def meanings(colours: dict[Any, str]) -> dict[int, tuple[str, str]]:
    """What the numbers of `coded` mean."""
    return {place: (value.value, colour) for place, (value, colour) in enumerate(colours.items(), 1)}


def latency(quantile: float) -> Query:
    """Of the answered requests, by track; TF Serving counts microseconds."""
    buckets = f"sum by (track, le) (tfcanary:latency_bucket:rate{WINDOW}{{{MODEL}}})"
    return Query(f"histogram_quantile({quantile}, {buckets}) / 1e6", f"{{{{track}}}} p{quantile * 100:.0f}")


STATE = coded("tfcanary_release_state", "state", [one.value for one in STATES])
DECISION = coded("tfcanary_decision", "decision", [one.value for one in DECISIONS])
WATCHER = f"({newest('tfcanary_weight_asked_ratio')} == 0) * 0 + 2\nor {newest('tfcanary_watching')}"
GUARD_AGE = f"time() - {newest('tfcanary_guard_seen_timestamp_seconds')}"
IN_STAGE = f"time() - {newest('tfcanary_stage_began_timestamp_seconds')}"
CRITERION = 'criterion=~"$criterion"'


def _now() -> list[Panel]:
    return [
        stat("State", "Of the present or last release, as its record says.", Query(STATE), 4, mappings=panels.words(meanings(STATES))),
        stat(
            "Candidate",
            "The version that is released.",
            Query(newest("tfcanary_release_began_timestamp_seconds", "version") + " * 0 + 1", "{{version}}"),
            3,
            text="name",
        ),
        stat("Stable", "The version that everybody gets otherwise.", Query(newest("tfcanary_stable_version")), 3),
        stat(
            "Weight asked",
            "The canary's share that was last asked of the router.",
            Query(newest("tfcanary_weight_asked_ratio")),
            3,
            "percentunit",
        ),
        stat("Decision", "Of the judge, at the last poll.", Query(DECISION), 4, mappings=panels.words(meanings(DECISIONS))),
        stat("Watched by", "A step during a stage, otherwise the guard.", Query(WATCHER), 3, mappings=panels.words(WATCHED_BY)),
        stat(
            "Guard heard", "Time since its last heartbeat.", Query(GUARD_AGE), 4, "s", steps((None, "green"), (30, "yellow"), (60, "red"))
        ),
    ]


def _course() -> list[Panel]:
    meant = {
        **meanings(STATES),
        **{10 + n: one for n, one in meanings(DECISIONS).items()},
        **{20 + n: one for n, one in WATCHED_BY.items()},
    }
    bands = [Query(STATE, "state"), Query(f"({DECISION}) + 10", "decision"), Query(f"({WATCHER}) + 20", "watched by")]
    measured = [
        Query(newest("tfcanary_weight_asked_ratio"), "asked"),
        Query(newest("tfcanary_weight_measured_ratio"), "measured"),
    ]
    step = panels.colours("/^asked$/", "text", **{"custom.lineInterpolation": "stepAfter"})
    requests = f"max by (track, version) (rate(tfcanary_requests_total{{{MODEL}}}[$__rate_interval]))"
    return [
        timeline("Course of the release", "State, the judge's decision, and who watches.", bands, meant, 24, 6),
        lines(
            "Weight",
            "Asked of the router, and the canary's share of the stage's requests.",
            measured,
            "percentunit",
            12,
            [step, panels.colour("measured", "orange")],
            min=0,
            max=1,
        ),
        lines(
            "Requests by track",
            "Answered or failed, as the watch counted them.",
            [Query(requests, "{{track}} {{version}}")],
            "reqps",
            12,
            panels.by_track(),
            min=0,
        ),
    ]


def _servers() -> list[Panel]:
    ratio = Query(of_track(f"tfcanary:error_ratio:rate{WINDOW}"), "{{track}} {{version}}")
    return [
        lines(
            "Error ratio by track",
            "Failed requests of all requests, from TF Serving's own counters.",
            [ratio],
            "percentunit",
            12,
            panels.by_track(),
            min=0,
        ),
        lines(
            "Latency by track",
            "Of answered requests, between the bounds of TF Serving's buckets.",
            [latency(0.5), latency(0.95), latency(0.99)],
            "s",
            12,
            [*panels.by_track(), panels.stroked("/p95$/", 8, 4), panels.stroked("/p99$/", 2, 4)],
            min=0,
        ),
    ]


def _judge() -> list[Panel]:
    finding = coded("tfcanary_criterion_finding", "finding", [one.value for one in FINDINGS], "criterion")
    bounds = [
        Query(newest(f"tfcanary_criterion_{one}_ratio", "criterion", only=CRITERION), one)
        for one in ("high", "low", "estimate", "margin", "tolerance")
    ]
    look = [
        *panels.band("high", "low", "blue"),
        panels.colour("estimate", "blue"),
        panels.dashed("margin", "red"),
        panels.dashed("tolerance", "yellow"),
    ]
    evidence = Query(newest("tfcanary_criterion_evidence_ratio", "criterion", "towards"), "{{criterion}} → {{towards}}")
    return [
        timeline("Findings", "What each criterion said at each poll.", [Query(finding, "{{criterion}}")], meanings(FINDINGS), 24, 8),
        lines(
            "$criterion",
            "Canary to stable (traffic: to the configured share): estimate with its interval; promotion must exclude the margin, and what lies within the tolerance causes no rollback.",
            bounds,
            "none",
            8,
            look,
            "criterion",
        ),
        lines(
            "Evidence",
            "1: enough by itself. Rollback is also decided by all criteria together.",
            [evidence],
            "percentunit",
            16,
            min=-1,
            max=1.2,
            thresholds=steps((None, "transparent"), (1, "red")),
            custom={"thresholdsStyle": {"mode": "line"}},
        ),
        bars(
            "Alpha spent",
            "What each criterion may spend of the chance to roll a healthy canary back, over all its looks.",
            Query(newest("tfcanary_alpha_spent_ratio", "criterion"), "{{criterion}}"),
            8,
            "percentunit",
            min=0,
        ),
    ]


def _safety() -> list[Panel]:
    guard = [Query(GUARD_AGE, "last heard of"), Query(newest("tfcanary_guard_heartbeat_seconds"), "dead after")]
    hold = [Query(f"{newest('tfcanary_hold_until_timestamp_seconds')} - time()", "left")]
    stage = [
        Query(IN_STAGE, "in stage"),
        Query(newest("tfcanary_stage_minimum_seconds"), "minimum"),
        Query(newest("tfcanary_stage_maximum_seconds"), "maximum"),
        Query(newest("tfcanary_stage_waited_seconds"), "of it paused"),
    ]
    at_zero = steps((None, "red"), (0, "transparent"))
    return [
        lines("Guard", "Time since its last heartbeat.", guard, "s", 8, [panels.dashed("dead after", "red")], min=0),
        lines(
            "Hold",
            "Time until the guard rolls back, if nobody renews the hold.",
            hold,
            "s",
            8,
            thresholds=at_zero,
            custom={"thresholdsStyle": {"mode": "area"}},
        ),
        lines(
            "Time in stage",
            "A stage ends between its minimum and its maximum.",
            stage,
            "s",
            8,
            [panels.dashed("minimum", "green"), panels.dashed("maximum", "red")],
            min=0,
        ),
    ]


def _history() -> list[Panel]:
    firing = f'max by (alertname) (ALERTS{{alertstate="firing", alertname=~"Tfcanary.+", {MODEL}}})'
    ended = Query(newest("tfcanary_history_releases", "outcome"), "{{outcome}}")
    return [
        timeline("Alerts", "Those of tfcanary that fire.", [Query(firing, "{{alertname}}")], {1: ("fires", "red")}, 16, 8),
        bars(
            "Ended releases",
            "That the record remembers, by outcome.",
            ended,
            8,
            "none",
            [panels.colour(name, of) for name, of in OUTCOMES.items()],
            min=0,
            decimals=0,
        ),
    ]


ROWS = {"Now": _now, "Course": _course, "Servers": _servers, "Judge": _judge, "Safety": _safety, "Before": _history}
