"""Whom Prometheus alarms, and by which rules: described once.

Every alert has the label `model`, so that who receives it can abort the release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcanary.run.monitor.recordings import OF_RELEASE, RECORDINGS, SCRAPES, SERVERS, WINDOW, age, newest, tidy

RUNBOOK = "docs/runbook.md"
ERRORS_OF_STABLE = 0.01
"""Share of failed requests below which nobody is woken."""
RISE = 3
"""How many times the share of the hour before, also as a canary: a version that always fails a little is not in trouble."""
ENOUGH = 50
"""Requests in WINDOW below which one failure would be a large share."""
SLACK = 300
"""Seconds after a stage's maximum and the handover: for the pods of the steps that judge it."""
UNHELD = 1800
"""Seconds that a release without traffic may be held by nobody: copying a large model takes long, and nothing is lost meanwhile."""
LEASES = 3
"""Leases without a poll: the hold is renewed by whoever polls, and was thrice due."""
SIGMAS = 5
"""Standard deviations between the requests counted and those expected: once in two million stages by chance."""
DEVIATES = 0.2
"""Of the weight: connections that carry many requests divide less evenly than chance."""
KNOWN = "6h"
"""A version of which no server was up in this time was never scraped: an adopted one, for example. Nothing is said about it."""
UNREAD = 120
"""Seconds that a record may be unreadable: the guard's own patience is of that order."""
TOLD = 1800
"""Seconds for which an end of a release is told."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody should know, or be woken for."""

    alert: str
    lasts: str
    severity: str
    """`critical`: users may be harmed now; `warning`: within the day; `info`: to know."""
    expr: str
    summary: str
    description: str

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"{RUNBOOK}#{self.alert.lower()}"

    def rule(self) -> Json:
        """As Prometheus reads it."""
        return {
            "alert": self.alert,
            "expr": tidy(self.expr),
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description, "runbook_url": self.runbook},
        }


_ON_THE_ROAD = newest('tfcanary_release_state{state=~"open|watched|promoting|rolling back"}') + " == 1"
_WITHOUT_TRAFFIC = f"""({_ON_THE_ROAD})
    and on ({OF_RELEASE}) {newest("tfcanary_weight_asked_ratio")} == 0"""
_SILENT = f"""{age("tfcanary_guard_seen_timestamp_seconds")}
    > {newest("tfcanary_guard_heartbeat_seconds")}"""
_OF = "of model {{ $labels.model }}{{ with $labels.namespace }} in namespace {{ . }}{{ end }}"
_STABLE = '{track="stable"}'

ALERTS = (
    Alert(
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
        "Version {{ $labels.version }} gets {{ $value | humanizePercentage }} of the requests, and its guard has not been heard of for "
        "longer than deploy.heartbeat, or its holder's time has run out and nobody took the weight to 0.",
    ),
    Alert(
        "TfcanaryCanaryUnseen",
        "3m",
        "critical",
        f"""count by (namespace, model) (tfcanary:version_answers:rate{SCRAPES} > 0) > 1
        unless on (namespace, model) {newest("tfcanary_weight_asked_ratio", "namespace, model")}""",
        f"Two versions {_OF} answer requests, and neither a guard nor a watching step is to be seen.",
        "{{ $value }} versions answer, and no process exports the release that would explain it: guard and watcher are gone, or are not "
        "scraped.",
    ),
    Alert(
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
        f"The release {_OF} does not get on.",
        "Version {{ $labels.version }}: its stage is longer than stage.maximum allows, or its canary has traffic and nobody looked at the "
        "counters, or nobody renewed its hold, for {{ $value | humanizeDuration }}. Until it ends no other release can begin.",
    ),
    Alert(
        "TfcanaryGuardSilent",
        "2m",
        "warning",
        f"""{_SILENT}
        and on ({OF_RELEASE}) ({_WITHOUT_TRAFFIC})""",
        f"The guard of the release {_OF} is silent.",
        "It was last heard of {{ $value | humanizeDuration }} ago. The canary has no traffic, and gets none without a guard.",
    ),
    Alert(
        "TfcanaryRolledBack",
        "0m",
        "warning",
        f"""time() - {newest(f'last_over_time(tfcanary_release_over_timestamp_seconds{{outcome="rolled back"}}[{TOLD}s])')} < {TOLD}""",
        f"Version {{{{ $labels.version }}}} {_OF} was rolled back.",
        "{{ $value | humanizeDuration }} ago. `tfcanary status {{ $labels.model }}` says why; all requests go to the stable version.",
    ),
    Alert(
        "TfcanaryCandidateRefused",
        "0m",
        "info",
        f"""time() - {newest(f'last_over_time(tfcanary_release_over_timestamp_seconds{{outcome="refused"}}[{TOLD}s])')} < {TOLD}""",
        f"A candidate {_OF} was refused before any traffic.",
        "{{ $value | humanizeDuration }} ago, by a gate. `tfcanary status {{ $labels.model }}` says which; no user saw it.",
    ),
    Alert(
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
    Alert(
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
    Alert(
        "TfcanarySampleRatioMismatch",
        "2m",
        "warning",
        f"""abs(tfcanary:canary_requests:stage - tfcanary:canary_requests_expected:stage)
        > {DEVIATES} * (tfcanary:canary_requests_expected:stage > 0)
        and on ({OF_RELEASE})
        abs(tfcanary:canary_requests:stage - tfcanary:canary_requests_expected:stage)
        > {SIGMAS} * sqrt(tfcanary:canary_requests_expected:stage * (1 - {newest("tfcanary_weight_asked_ratio")}))""",
        f"The canary {_OF} does not get the share of the requests that was asked for.",
        "In this stage version {{ $labels.version }} counted {{ $value | humanize }} requests more or fewer than its weight makes expect: "
        "the router divides otherwise, or requests are lost on the way.",
    ),
    Alert(
        "TfcanaryRecordUnreadable",
        "1m",
        "warning",
        f"""time() - {newest("tfcanary_record_read_timestamp_seconds", "namespace, model")} > {UNREAD}""",
        f"The release record {_OF} cannot be read.",
        "Whoever exports could not read it for {{ $value | humanizeDuration }}: the API server is away, or another version of tfcanary "
        "wrote it. The other alerts about this model see nothing meanwhile.",
    ),
)


def groups() -> Json:
    """All rules, as a rule file and as the spec of a PrometheusRule."""
    recorded, alarming = [one.rule() for one in RECORDINGS], [one.rule() for one in ALERTS]
    return {"groups": [{"name": "tfcanary-recordings", "rules": recorded}, {"name": "tfcanary-alerts", "rules": alarming}]}


def markdown() -> str:
    """The alerts, as a table."""
    rows = [
        f"| [`{one.alert}`]({one.runbook.removeprefix('docs/')}) | {one.severity} | {one.lasts} | {_plain(one.summary)} |" for one in ALERTS
    ]
    return "\n".join(["| alert | severity | after | what it says |", "|---|---|---|---|", *rows])


def _plain(summary: str) -> str:
    return summary.replace(_OF, "of a model").replace("{{ $labels.version }}", "…")
