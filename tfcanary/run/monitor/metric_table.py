"""What is exported: one row a metric. The pages, the reference in docs/monitoring.md and the tests go by this table.

Instants are exported as they are, never as ages: of two processes that export the same release the larger one is right,
and an age that nobody renews any more would look young for ever. Shares are from 0 to 1, as Prometheus has them.
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
class Described:
    """One metric."""

    name: str
    labels: tuple[str, ...]
    help: str
    counter: bool = False

    def family(self) -> Metric:
        """Without samples yet."""
        made = CounterMetricFamily if self.counter else GaugeMetricFamily
        return made(self.name, self.help, labels=self.labels)


_ROWS = (
    Described("tfcanary_build_info", ("version",), "1; the version of tfcanary that exports."),
    Described("tfcanary_record_read_timestamp_seconds", MODEL, "When this process last read the model's record; 0: never."),
    Described("tfcanary_stable_version", MODEL, "The number of the stable version."),
    Described("tfcanary_track_info", (*RELEASE, "track"), "1; the version that a track serves."),
    Described(
        "tfcanary_history_releases", (*MODEL, "outcome"), "Ended releases that the record remembers: the last 50 and the present one."
    ),
    Described("tfcanary_release_state", (*RELEASE, "state"), "1 for the state of the present or last release, 0 for the others."),
    Described("tfcanary_release_began_timestamp_seconds", RELEASE, "When the release began."),
    Described("tfcanary_release_changed_timestamp_seconds", RELEASE, "When something last happened, as the release's events say."),
    Described(
        "tfcanary_release_over_timestamp_seconds",
        (*RELEASE, "outcome"),
        "When the release was over: its end, or the rollback that is under way.",
    ),
    Described("tfcanary_weight_asked_ratio", RELEASE, "The canary's weight that was last asked of the router."),
    Described("tfcanary_weight_measured_ratio", RELEASE, "The canary's share of the requests counted in this stage."),
    Described("tfcanary_requests_total", (*RELEASE, "track"), "Requests since the first poll, answered or failed.", counter=True),
    Described("tfcanary_stage", RELEASE, "The stage that is watched, or the last one that was, from 0."),
    Described("tfcanary_stages", RELEASE, "Stages of the plan."),
    Described("tfcanary_stage_requests", (*RELEASE, "track"), "Requests counted in this stage, answered or failed."),
    Described("tfcanary_stage_began_timestamp_seconds", (*RELEASE, "stage"), "When the stage began."),
    Described("tfcanary_stage_minimum_seconds", RELEASE, "The plan's stage.minimum."),
    Described("tfcanary_stage_maximum_seconds", RELEASE, "The plan's stage.maximum."),
    Described("tfcanary_last_poll_timestamp_seconds", RELEASE, "When the tracks were last looked at, by the step or by the guard."),
    Described(
        "tfcanary_stage_waited_seconds", RELEASE, "How long the stage was paused or waited for approval; stage.maximum does not count it."
    ),
    Described("tfcanary_paused", RELEASE, "1: the release is paused, or waits for approval."),
    Described("tfcanary_watching", RELEASE, "1: a step watches; 0: the guard does, where the canary has traffic."),
    Described("tfcanary_hold_until_timestamp_seconds", RELEASE, "Until when the release is held; nobody renewed it: the guard rolls back."),
    Described("tfcanary_lease_seconds", RELEASE, "The plan's deploy.lease."),
    Described("tfcanary_handover_seconds", RELEASE, "The plan's deploy.handover."),
    Described("tfcanary_guard_seen_timestamp_seconds", RELEASE, "The guard's last heartbeat."),
    Described("tfcanary_guard_heartbeat_seconds", RELEASE, "The plan's deploy.heartbeat: a guard not heard of for so long is dead."),
    Described("tfcanary_decision", (*RELEASE, "decision"), "1 for the judge's decision at the last poll, 0 for the others."),
    Described("tfcanary_criterion_finding", (*CRITERION, "finding"), "1 for what the criterion said at the last poll, 0 for the others."),
    Described("tfcanary_criterion_estimate_ratio", CRITERION, "Estimate of canary to stable; of metrics/traffic: to the configured share."),
    Described("tfcanary_criterion_low_ratio", CRITERION, "The interval's lower bound."),
    Described("tfcanary_criterion_high_ratio", CRITERION, "The interval's upper bound."),
    Described("tfcanary_criterion_tolerance_ratio", CRITERION, "What may not cause a rollback."),
    Described("tfcanary_criterion_margin_ratio", CRITERION, "What promotion must exclude."),
    Described(
        "tfcanary_criterion_evidence_ratio",
        (*CRITERION, "towards"),
        "Evidence for rollback or promotion, as the part of the logarithm that is needed: 1 decides alone.",
    ),
    Described("tfcanary_alpha_spent_ratio", CRITERION, "The part of alpha that the criterion spends, over all its looks."),
    Described("tfcanary_alpha_ratio", RELEASE, "The plan's judge.alpha: what all criteria together may spend."),
)

TABLE = {row.name: row for row in _ROWS}


def markdown() -> str:
    """The reference, as two tables."""
    metrics = [f"| `{row.name}` | {_kind(row)} | {_labels(row)} | {row.help} |" for row in _ROWS]
    labels = [f"| `{name}` | {text} |" for name, text in LABELS.items()]
    return "\n".join(
        ["| metric | type | labels | what it says |", "|---|---|---|---|", *metrics, "", "| label | values |", "|---|---|", *labels]
    )


def _kind(row: Described) -> str:
    return "counter" if row.counter else "gauge"


def _labels(row: Described) -> str:
    beyond = [name for name in row.labels if name not in MODEL] if row.labels[:2] == MODEL else list(row.labels)
    return ", ".join([*(["model"] if row.labels[:2] == MODEL else []), *beyond])
