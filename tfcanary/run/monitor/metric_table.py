"""The table of all metrics: the exported pages, the reference in docs/monitoring.md and the tests are made from it.

Instants are exported as instants and never as ages: of two processes that export one release the larger instant is right,
and an age that no process renews would look young for ever. Shares are from 0 to 1, as is usual in Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

MODEL = ("namespace", "model")
RELEASE = (*MODEL, "version")
CRITERION = (*RELEASE, "criterion")

LABELS = {
    "namespace": "of `kube://<namespace>`; empty on the platform of this machine",
    "model": "the model's name",
    "version": "the candidate's number; empty until it was pushed. Of `tfcanary_track_info` the track's, of `tfcanary_build_info` tfcanary's",
    "track": "`stable` or `canary`",
    "state": "of the record: `open`, `watched`, `promoting`, `rolling back`, `promoted`, `rolled back`, `refused`",
    "outcome": "`promoted`, `rolled back` or `refused`",
    "stage": "from 0",
    "decision": "`advance`, `promote`, `hold` or `rollback`",
    "criterion": "the id of the evidence, for example `metrics/errors`",
    "finding": "`pass`, `warn`, `inconclusive` or `fail`",
    "towards": "`rollback` or `promotion`",
}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: its name, its labels, its help text, and whether it is a counter."""

    name: str
    labels: tuple[str, ...]
    help: str
    counter: bool = False

    def family(self) -> Metric:
        """Return the metric's family, without samples."""
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


_ROWS = (
    MetricRow("tfcanary_build_info", ("version",), "1; the version of tfcanary that exports."),
    MetricRow("tfcanary_record_read_timestamp_seconds", MODEL, "When this process last read the model's record; 0: never."),
    MetricRow("tfcanary_stable_version", MODEL, "The number of the stable version."),
    MetricRow("tfcanary_track_info", (*RELEASE, "track"), "1; the version that a track serves."),
    MetricRow(
        "tfcanary_history_releases", (*MODEL, "outcome"), "Ended releases that the record remembers: the last 50 and the present one."
    ),
    MetricRow("tfcanary_release_state", (*RELEASE, "state"), "1 for the state of the present or last release, 0 for the others."),
    MetricRow("tfcanary_release_began_timestamp_seconds", RELEASE, "When the release began."),
    MetricRow("tfcanary_release_changed_timestamp_seconds", RELEASE, "When the last event of the release happened."),
    MetricRow(
        "tfcanary_release_over_timestamp_seconds",
        (*RELEASE, "outcome"),
        "When the release ended, or when the rollback that is under way began.",
    ),
    MetricRow("tfcanary_weight_asked_ratio", RELEASE, "The canary's weight that the router was last told to set."),
    MetricRow("tfcanary_weight_measured_ratio", RELEASE, "The canary's share of the requests counted in this stage."),
    MetricRow("tfcanary_requests_total", (*RELEASE, "track"), "Requests since the first poll, answered or failed.", counter=True),
    MetricRow("tfcanary_stage", RELEASE, "The stage that is watched, or the last one that was, from 0."),
    MetricRow("tfcanary_stages", RELEASE, "Stages of the plan."),
    MetricRow("tfcanary_stage_requests", (*RELEASE, "track"), "Requests counted in this stage, answered or failed."),
    MetricRow("tfcanary_stage_began_timestamp_seconds", (*RELEASE, "stage"), "When the stage began."),
    MetricRow("tfcanary_stage_minimum_seconds", RELEASE, "The stage's minimum, stage.minimum where it has none of its own."),
    MetricRow("tfcanary_stage_maximum_seconds", RELEASE, "The stage's maximum, stage.maximum where it has none of its own."),
    MetricRow("tfcanary_last_poll_timestamp_seconds", RELEASE, "When the step or the guard last read the counters of the tracks."),
    MetricRow(
        "tfcanary_stage_waited_seconds",
        RELEASE,
        "How long the stage was paused, or waited for approval or its window; stage.maximum does not count it.",
    ),
    MetricRow("tfcanary_paused", RELEASE, "1: the release is paused, or waits for approval or for its window."),
    MetricRow("tfcanary_watching", RELEASE, "1: a step watches; 0: none does, and the guard watches where the canary has traffic."),
    MetricRow(
        "tfcanary_hold_until_timestamp_seconds",
        RELEASE,
        "Until when the release is held; where nobody renews the hold by then, the guard rolls back.",
    ),
    MetricRow("tfcanary_lease_seconds", RELEASE, "The plan's deploy.lease."),
    MetricRow("tfcanary_handover_seconds", RELEASE, "The plan's deploy.handover."),
    MetricRow("tfcanary_guard_seen_timestamp_seconds", RELEASE, "The guard's last heartbeat."),
    MetricRow("tfcanary_guard_heartbeat_seconds", RELEASE, "The plan's deploy.heartbeat: a guard whose last heartbeat is older is dead."),
    MetricRow("tfcanary_decision", (*RELEASE, "decision"), "1 for the judge's decision at the last poll, 0 for the others."),
    MetricRow("tfcanary_criterion_finding", (*CRITERION, "finding"), "1 for the criterion's finding at the last poll, 0 for the others."),
    MetricRow("tfcanary_criterion_estimate_ratio", CRITERION, "Estimate of canary to stable; of metrics/traffic: to the configured share."),
    MetricRow("tfcanary_criterion_low_ratio", CRITERION, "The interval's lower bound."),
    MetricRow("tfcanary_criterion_high_ratio", CRITERION, "The interval's upper bound."),
    MetricRow("tfcanary_criterion_tolerance_ratio", CRITERION, "The largest difference that causes no rollback."),
    MetricRow("tfcanary_criterion_margin_ratio", CRITERION, "The difference that promotion must exclude."),
    MetricRow(
        "tfcanary_criterion_evidence_ratio",
        (*CRITERION, "towards"),
        "Evidence for rollback or promotion, as the part of the logarithm that is needed: 1 decides alone.",
    ),
    MetricRow("tfcanary_alpha_spent_ratio", CRITERION, "The part of alpha that the criterion spends, over all its polls."),
    MetricRow("tfcanary_alpha_ratio", RELEASE, "The plan's judge.alpha, which all criteria together may spend."),
)

TABLE = {row.name: row for row in _ROWS}


def markdown() -> str:
    """Return the reference in Markdown: a table of the metrics and a table of the labels."""
    metrics = [f"| `{row.name}` | {'counter' if row.counter else 'gauge'} | {_labels(row)} | {row.help} |" for row in _ROWS]
    labels = [f"| `{name}` | {text} |" for name, text in LABELS.items()]
    return "\n".join(
        ["| metric | type | labels | what it says |", "|---|---|---|---|", *metrics, "", "| label | values |", "|---|---|", *labels]
    )


def _labels(row: MetricRow) -> str:
    beyond = [name for name in row.labels if name not in MODEL] if row.labels[:2] == MODEL else list(row.labels)
    return ", ".join([*(["model"] if row.labels[:2] == MODEL else []), *beyond])
