"""The rows of the dashboard: from the safety of the present release down to the ends of the last ones.

The queries contain Grafana's variables only; their values are labels that `families` has made plain.
"""

from __future__ import annotations

from typing import Any

from tfcanary.core.domain import Decision, Finding
from tfcanary.core.record import State
from tfcanary.run.monitor import panels
from tfcanary.run.monitor.panels import Panel, Query, bar_gauge, stat, state_timeline, thresholds, time_series
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
"""The colour of each state; where two exporters disagree for a moment, the later state in this order is shown."""
DECISIONS = {Decision.HOLD: "blue", Decision.ADVANCE: "light-green", Decision.PROMOTE: "green", Decision.ROLLBACK: "red"}
FINDINGS = {Finding.PASS: "green", Finding.WARN: "yellow", Finding.INCONCLUSIVE: "blue", Finding.FAIL: "red"}
OUTCOMES = {"promoted": "green", "rolled back": "red", "refused": "yellow"}
WATCHED_BY = {0: ("guard", "blue"), 1: ("step", "green"), 2: ("nobody: no traffic", "text")}

Json = dict[str, Any]


def newest(metric: str, *labels: str, only: str = "") -> str:
    """Return the expression of a metric of ours for the chosen model, whichever process exports it."""
    more = f", {only}" if only else ""
    return f"max by ({', '.join(('model', *labels))}) ({metric}{{{MODEL}{more}}})"


def of_track(recorded: str) -> str:
    """Return the expression of a recorded series of the chosen model, by track."""
    return f"max by (track, version) ({recorded}{{{MODEL}}})"


def coded(metric: str, label: str, values: list[str], by: str = "model") -> str:
    """Return the expression of the place, from 1, that the value whose series is 1 has in `values`."""
    parts = [
        f'max by ({by}) ({metric}{{{MODEL}, {label}="{value}"}} == 1) * {place}' for place, value in reversed(list(enumerate(values, 1)))
    ]
    return "\nor ".join(parts)


def meanings(colours: dict[Any, str]) -> dict[int, tuple[str, str]]:
    """Return the text and the colour of each number of `coded`."""
    return {place: (value.value, colour) for place, (value, colour) in enumerate(colours.items(), 1)}


def latency(quantile: float) -> Query:
    """Return the query of a quantile of the latency of answered requests in seconds, by track; TF Serving counts microseconds."""
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
        stat(
            "State",
            "The state of the present or last release, as its record says.",
            Query(STATE),
            4,
            mappings=panels.value_texts(meanings(STATES)),
        ),
        stat(
            "Candidate",
            "The version that is released.",
            Query(newest("tfcanary_release_began_timestamp_seconds", "version") + " * 0 + 1", "{{version}}"),
            3,
            text="name",
        ),
        stat("Stable", "The version that gets all other requests.", Query(newest("tfcanary_stable_version")), 3),
        stat(
            "Weight asked",
            "The canary's weight that the router was last told to set.",
            Query(newest("tfcanary_weight_asked_ratio")),
            3,
            "percentunit",
        ),
        stat("Decision", "The judge's decision at the last poll.", Query(DECISION), 4, mappings=panels.value_texts(meanings(DECISIONS))),
        stat(
            "Watched by",
            "Who watches the release: a step during a stage, otherwise the guard.",
            Query(WATCHER),
            3,
            mappings=panels.value_texts(WATCHED_BY),
        ),
        stat(
            "Guard's heartbeat",
            "The time since the guard's last heartbeat.",
            Query(GUARD_AGE),
            4,
            "s",
            thresholds((None, "green"), (30, "yellow"), (60, "red")),
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
        state_timeline("Course of the release", "The state, the judge's decision, and who watches.", bands, meant, 24, 6),
        time_series(
            "Weight",
            "The weight that the router was told to set, and the canary's share of the stage's requests.",
            measured,
            "percentunit",
            12,
            [step, panels.colour("measured", "orange")],
            min=0,
            max=1,
        ),
        time_series(
            "Requests by track",
            "Requests that were answered or failed, as the watch counted them.",
            [Query(requests, "{{track}} {{version}}")],
            "reqps",
            12,
            panels.colours_of_tracks(),
            min=0,
        ),
    ]


def _servers() -> list[Panel]:
    ratio = Query(of_track(f"tfcanary:error_ratio:rate{WINDOW}"), "{{track}} {{version}}")
    return [
        time_series(
            "Error ratio by track",
            "The share of failed requests, from TF Serving's own counters.",
            [ratio],
            "percentunit",
            12,
            panels.colours_of_tracks(),
            min=0,
        ),
        time_series(
            "Latency by track",
            "The latency of answered requests, interpolated between the bounds of TF Serving's buckets.",
            [latency(0.5), latency(0.95), latency(0.99)],
            "s",
            12,
            [*panels.colours_of_tracks(), panels.dash_pattern("/p95$/", 8, 4), panels.dash_pattern("/p99$/", 2, 4)],
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
        panels.bound_line("margin", "red"),
        panels.bound_line("tolerance", "yellow"),
    ]
    evidence = Query(newest("tfcanary_criterion_evidence_ratio", "criterion", "towards"), "{{criterion}} → {{towards}}")
    return [
        state_timeline(
            "Findings", "The finding of each criterion at each poll.", [Query(finding, "{{criterion}}")], meanings(FINDINGS), 24, 8
        ),
        time_series(
            "$criterion",
            "The ratio of canary to stable (traffic: to the configured share) with its interval. Promotion must exclude the margin; a ratio within the tolerance causes no rollback.",
            bounds,
            "none",
            8,
            look,
            "criterion",
        ),
        time_series(
            "Evidence",
            "At 1 a criterion decides by itself. All criteria together may decide a rollback, too.",
            [evidence],
            "percentunit",
            16,
            min=-1,
            max=1.2,
            thresholds=thresholds((None, "transparent"), (1, "red")),
            custom={"thresholdsStyle": {"mode": "line"}},
        ),
        bar_gauge(
            "Alpha spent",
            "The part that each criterion may spend of the chance to roll back a healthy canary, over all its polls.",
            Query(newest("tfcanary_alpha_spent_ratio", "criterion"), "{{criterion}}"),
            8,
            "percentunit",
            min=0,
        ),
    ]


def _safety() -> list[Panel]:
    guard = [Query(GUARD_AGE, "last heartbeat"), Query(newest("tfcanary_guard_heartbeat_seconds"), "dead after")]
    hold = [Query(f"{newest('tfcanary_hold_until_timestamp_seconds')} - time()", "left")]
    stage = [
        Query(IN_STAGE, "in stage"),
        Query(newest("tfcanary_stage_minimum_seconds"), "minimum"),
        Query(newest("tfcanary_stage_maximum_seconds"), "maximum"),
        Query(newest("tfcanary_stage_waited_seconds"), "of it paused"),
    ]
    at_zero = thresholds((None, "red"), (0, "transparent"))
    return [
        time_series("Guard", "The time since the guard's last heartbeat.", guard, "s", 8, [panels.bound_line("dead after", "red")], min=0),
        time_series(
            "Hold",
            "The time until the guard rolls back, if nobody renews the hold.",
            hold,
            "s",
            8,
            thresholds=at_zero,
            custom={"thresholdsStyle": {"mode": "area"}},
        ),
        time_series(
            "Time in stage",
            "A stage ends between its minimum and its maximum.",
            stage,
            "s",
            8,
            [panels.bound_line("minimum", "green"), panels.bound_line("maximum", "red")],
            min=0,
        ),
    ]


def _history() -> list[Panel]:
    firing = f'max by (alertname) (ALERTS{{alertstate="firing", alertname=~"Tfcanary.+", {MODEL}}})'
    ended = Query(newest("tfcanary_history_releases", "outcome"), "{{outcome}}")
    return [
        state_timeline("Alerts", "The alerts of tfcanary that fire.", [Query(firing, "{{alertname}}")], {1: ("fires", "red")}, 16, 8),
        bar_gauge(
            "Ended releases",
            "The ended releases that the record holds, by outcome.",
            ended,
            8,
            "none",
            [panels.colour(name, of) for name, of in OUTCOMES.items()],
            min=0,
            decimals=0,
        ),
    ]


ROWS = {"Now": _now, "Course": _course, "Servers": _servers, "Judge": _judge, "Safety": _safety, "Before": _history}
