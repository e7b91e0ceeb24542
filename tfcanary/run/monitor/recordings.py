"""The recording rules: series that Prometheus computes for the alerts and the dashboard, and the expressions that both share.

A metric that two processes may export is taken by `max by`. A series of TF Serving belongs to a model by its pod, and counts
only where the model name of the request is that model's, because clients may ask for any name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SERVERS, OURS = "tfcanary-servers", "tfcanary"
"""The two jobs: the model servers, and the guards and steps."""
SCRAPES = "2m"
"""A window with at least two scrapes of any usual interval, which a rate needs."""
WINDOW = "5m"
VERBS = '{API=~"(?i:predict|classify|regress)"}'
"""The calls that are requests of users; the histogram also has the probes of the REST API, with an empty `API`."""
FAILED = 'request_count{status!="OK"}'
OF_RELEASE = "namespace, model, version"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule: a series that other expressions use."""

    record: str
    expr: str

    def rule(self) -> Json:
        """Return the rule as Prometheus reads it."""
        return {"record": self.record, "expr": tidy(self.expr)}


def tidy(expr: str) -> str:
    """Return an expression without the indentation of the source."""
    lines = [line.strip() for line in expr.strip().splitlines()]
    return "\n".join(lines)


def newest(metric: str, by: str = OF_RELEASE) -> str:
    """Return the expression of a metric of ours, whichever process exports it."""
    return f"max by ({by}) ({metric})"


def age(metric: str) -> str:
    """Return the expression of the seconds since an instant that we export."""
    return f"time() - {newest(metric)}"


def of_servers(metric: str, window: str) -> str:
    """Return the expression of a rate for each server and requested model, where the server's pod serves that model."""
    rate = f"rate(:tensorflow:serving:{metric}[{window}])"
    return f'label_replace({rate}, "model", "$1", "model_name", "(.+)") and on (namespace, pod, model) up{{job="{SERVERS}"}}'


def by_track(expr: str) -> str:
    """Return an expression with the track that each version serves; a version that serves none is left out."""
    return f"({expr}) * on ({OF_RELEASE}) group_left (track) tfcanary:track:info"


RECORDINGS = (
    # A version has one track, also while two exporters disagree for a moment.
    Recording(
        "tfcanary:track:info",
        f"""{newest('tfcanary_track_info{track="stable"}', f"{OF_RELEASE}, track")}
        or on ({OF_RELEASE})
        {newest('tfcanary_track_info{track="canary"}', f"{OF_RELEASE}, track")}""",
    ),
    Recording(f"tfcanary:version_answers:rate{SCRAPES}", f"sum by ({OF_RELEASE}) ({of_servers('request_latency_count' + VERBS, SCRAPES)})"),
    Recording(
        f"tfcanary:answers:rate{WINDOW}",
        by_track(f"sum by ({OF_RELEASE}) ({of_servers('request_latency_count' + VERBS, WINDOW)})"),
    ),
    Recording(
        f"tfcanary:errors:rate{WINDOW}",
        by_track(f"sum by ({OF_RELEASE}) ({of_servers(FAILED, WINDOW)})") + f"\nor tfcanary:answers:rate{WINDOW} * 0",
    ),
    Recording(
        f"tfcanary:requests:rate{WINDOW}",
        f"""tfcanary:answers:rate{WINDOW} + tfcanary:errors:rate{WINDOW}
        or tfcanary:errors:rate{WINDOW}""",
    ),
    Recording(f"tfcanary:error_ratio:rate{WINDOW}", f"tfcanary:errors:rate{WINDOW} / (tfcanary:requests:rate{WINDOW} > 0)"),
    Recording(
        f"tfcanary:latency_bucket:rate{WINDOW}",
        by_track(f"sum by ({OF_RELEASE}, le) ({of_servers('request_latency_bucket' + VERBS, WINDOW)})"),
    ),
    Recording("tfcanary:canary_requests:stage", newest('tfcanary_stage_requests{track="canary"}')),
    Recording(
        "tfcanary:canary_requests_expected:stage",
        f"""sum by ({OF_RELEASE}) ({newest("tfcanary_stage_requests", f"{OF_RELEASE}, track")})
        * {newest("tfcanary_weight_asked_ratio")}""",
    ),
)
