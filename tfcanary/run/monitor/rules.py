"""The alert rules of Prometheus, described once for the rule files and the documents.

Every alert has the label `model`, so that a receiver can abort the release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcanary.run.monitor.recordings import OF_RELEASE, RECORDINGS, SCRAPES, SERVERS, WINDOW, age, newest, tidy

RUNBOOK = "docs/runbook.md"
ERRORS_OF_STABLE = 0.01
"""The share of failed requests up to which stable raises no alert."""
RISE = 3
"""How many times the error share of the hour before raises an alert, also for the version as a canary: a version that always fails a
little is not in trouble."""
ENOUGH = 50
"""Requests in WINDOW below which no alert is raised, because one failure would be a large share."""
SLACK = 300
"""Seconds added to a stage's maximum and the handover, for the pods of the steps that judge the stage."""
UNHELD = 1800
"""Seconds that a release without traffic may be without a holder: copying a large model takes long, and no user is affected."""
LEASES = 3
"""Leases without a poll after which a release is stuck: each poll renews the hold, and three were due."""
SIGMAS = 5
"""Standard deviations between the requests counted and those expected: once in two million stages by chance."""
DEVIATES = 0.2
"""The share of the weight by which requests must deviate: connections that carry many requests divide less evenly than chance."""
KNOWN = "6h"
"""A version without a server that was up in this time was never scraped, for example an adopted one; it raises no alert."""
UNREAD = 120
"""Seconds that a record may be unreadable: about as long as the guard itself waits."""
REPORTED = 1800
"""Seconds for which the end of a release is reported."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alert rule of Prometheus."""

    alert: str
    lasts: str
    severity: str
    """`critical`: users may be harmed now; `warning`: look within the day; `info`: for information."""
    expr: str
    summary: str
    description: str

    @property
    def runbook(self) -> str:
        """The section of the runbook that says what to do."""
        return f"{RUNBOOK}#{self.alert.lower()}"

    def rule(self) -> Json:
        """Return the rule as Prometheus reads it."""
        return {
            "alert": self.alert,
            "expr": tidy(self.expr),
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description, "runbook_url": self.runbook},
        }


_ACTIVE = newest('tfcanary_release_state{state=~"open|watched|promoting|rolling back"}') + " == 1"
_WITHOUT_TRAFFIC = f"""({_ACTIVE})
    and on ({OF_RELEASE}) {newest("tfcanary_weight_asked_ratio")} == 0"""
_SILENT = f"""{age("tfcanary_guard_seen_timestamp_seconds")}
    > {newest("tfcanary_guard_heartbeat_seconds")}"""
_OF = "of model {{ $labels.model }}{{ with $labels.namespace }} in namespace {{ . }}{{ end }}"
_STABLE = '{track="stable"}'

ALERTS = (
    AlertRule(
        "TfcanaryCanaryWithoutWatcher",
        "1m",
        "critical",
        f"""{newest("tfcanary_weight_asked_ratio")} > 0
        and on ({OF_RELEASE}) (
        {_SILENT}
        or
        {age("tfcanary_hold_until_timestamp_seconds")} > 0
        )""",
        f"The canary {_OF} has traffic and is not watched as it should be.",
        "Version {{ $labels.version }} gets {{ $value | humanizePercentage }} of the requests, and its guard has sent no heartbeat for "
        "longer than deploy.heartbeat, or its holder's time has run out and nobody took the weight to 0.",
    ),
    AlertRule(
        "TfcanaryCanaryUnseen",
        "3m",
        "critical",
        f"""count by (namespace, model) (tfcanary:version_answers:rate{SCRAPES} > 0) > 1
        unless on (namespace, model) {newest("tfcanary_weight_asked_ratio", "namespace, model")}""",
        f"Two versions {_OF} answer requests, and neither a guard nor a watching step exports metrics.",
        "{{ $value }} versions answer, and no process exports the release that would explain it: guard and watcher are gone, or are not "
        "scraped.",
    ),
    AlertRule(
        "TfcanaryReleaseStuck",
        "5m",
        "warning",
        f"""(
        ({age("tfcanary_stage_began_timestamp_seconds")})
        > {newest("tfcanary_stage_maximum_seconds")} + {newest("tfcanary_stage_waited_seconds")} + {newest("tfcanary_handover_seconds")} + {SLACK}
        and on ({OF_RELEASE}) {newest('tfcanary_release_state{state="watched"}')} == 1
        )
        or on ({OF_RELEASE})
        (
        ({age("tfcanary_last_poll_timestamp_seconds")}) > {LEASES} * {newest("tfcanary_lease_seconds")}
        and on ({OF_RELEASE}) {newest("tfcanary_weight_asked_ratio")} > 0
        )
        or on ({OF_RELEASE})
        (
        ({age("tfcanary_hold_until_timestamp_seconds")}) > {UNHELD}
        and on ({OF_RELEASE}) ({_WITHOUT_TRAFFIC})
        )""",
        f"The release {_OF} makes no progress.",
        "Version {{ $labels.version }}: its stage is longer than stage.maximum allows, or its canary has traffic and nobody read the "
        "counters, or nobody renewed its hold, for {{ $value | humanizeDuration }}. Until it ends no other release can begin.",
    ),
    AlertRule(
        "TfcanaryGuardSilent",
        "2m",
        "warning",
        f"""{_SILENT}
        and on ({OF_RELEASE}) ({_WITHOUT_TRAFFIC})""",
        f"The guard of the release {_OF} is silent.",
        "Its last heartbeat was {{ $value | humanizeDuration }} ago. The canary has no traffic, and gets none without a guard.",
    ),
    AlertRule(
        "TfcanaryRolledBack",
        "0m",
        "warning",
        f"""time() - {newest(f'last_over_time(tfcanary_release_over_timestamp_seconds{{outcome="rolled back"}}[{REPORTED}s])')} < {REPORTED}""",
        f"Version {{{{ $labels.version }}}} {_OF} was rolled back.",
        "{{ $value | humanizeDuration }} ago. `tfcanary status {{ $labels.model }}` says why; all requests go to the stable version.",
    ),
    AlertRule(
        "TfcanaryCandidateRefused",
        "0m",
        "info",
        f"""time() - {newest(f'last_over_time(tfcanary_release_over_timestamp_seconds{{outcome="refused"}}[{REPORTED}s])')} < {REPORTED}""",
        f"A candidate {_OF} was refused before any traffic.",
        "{{ $value | humanizeDuration }} ago, by a gate. `tfcanary status {{ $labels.model }}` says which one; no user saw the candidate.",
    ),
    AlertRule(
        "TfcanaryStableDown",
        "2m",
        "critical",
        f"""(
        {newest('tfcanary_track_info{track="stable"}')}
        and on ({OF_RELEASE}) {newest(f'max_over_time(up{{job="{SERVERS}"}}[{KNOWN}])')} == 1
        unless on ({OF_RELEASE}) up{{job="{SERVERS}"}} == 1
        )
        or on (namespace, model)
        {newest(f'up{{job="{SERVERS}"}}', "namespace, model")} == 0""",
        f"No server of the stable version {_OF} is up.",
        "No pod{{ with $labels.version }} of version {{ . }}{{ end }} answers Prometheus: users' requests fail, or the servers are not scraped.",
    ),
    AlertRule(
        "TfcanaryStableErrors",
        "2m",
        "critical",
        f"""tfcanary:error_ratio:rate{WINDOW}{_STABLE} > {ERRORS_OF_STABLE}
        and on ({OF_RELEASE}) tfcanary:requests:rate{WINDOW}{_STABLE} * 300 > {ENOUGH}
        unless on ({OF_RELEASE})
        tfcanary:error_ratio:rate{WINDOW}{_STABLE}
        < on ({OF_RELEASE}) {RISE} * {newest(f"avg_over_time(tfcanary:error_ratio:rate{WINDOW}[1h] offset 10m)")}""",
        f"The stable version {_OF} fails more requests than before.",
        "{{ $value | humanizePercentage }} of the requests to version {{ $labels.version }} fail. While stable is in trouble nothing can be "
        "concluded about a canary.",
    ),
    AlertRule(
        "TfcanarySampleRatioMismatch",
        "2m",
        "warning",
        f"""abs(tfcanary:canary_requests:stage - tfcanary:canary_requests_expected:stage)
        > {DEVIATES} * (tfcanary:canary_requests_expected:stage > 0)
        and on ({OF_RELEASE})
        abs(tfcanary:canary_requests:stage - tfcanary:canary_requests_expected:stage)
        > {SIGMAS} * sqrt(tfcanary:canary_requests_expected:stage * (1 - {newest("tfcanary_weight_asked_ratio")}))""",
        f"The canary {_OF} does not get its weight's share of the requests.",
        "In this stage version {{ $labels.version }} counted {{ $value | humanize }} requests more or fewer than its weight lets expect: "
        "the router divides them otherwise, or requests are lost on the way.",
    ),
    AlertRule(
        "TfcanaryRecordUnreadable",
        "1m",
        "warning",
        f"""time() - {newest("tfcanary_record_read_timestamp_seconds", "namespace, model")} > {UNREAD}""",
        f"The release record {_OF} cannot be read.",
        "The exporting process could not read it for {{ $value | humanizeDuration }}: the API server cannot be reached, or another version "
        "of tfcanary wrote it. The other alerts about this model have no data meanwhile.",
    ),
)


def groups() -> Json:
    """Return all rules, in the form that a rule file and the spec of a PrometheusRule share."""
    recordings, alerts = [one.rule() for one in RECORDINGS], [one.rule() for one in ALERTS]
    return {"groups": [{"name": "tfcanary-recordings", "rules": recordings}, {"name": "tfcanary-alerts", "rules": alerts}]}


def markdown() -> str:
    """Return the alerts as a table in Markdown."""
    rows = [
        f"| [`{one.alert}`]({one.runbook.removeprefix('docs/')}) | {one.severity} | {one.lasts} | {_plain(one.summary)} |" for one in ALERTS
    ]
    return "\n".join(["| alert | severity | after | what it says |", "|---|---|---|---|", *rows])


def _plain(summary: str) -> str:
    return summary.replace(_OF, "of a model").replace("{{ $labels.version }}", "…")
