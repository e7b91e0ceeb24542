"""What Prometheus computes of what it scrapes: series that alerts and dashboard are made of, and how both ask.

Whatever may come from two processes is taken by `max by`. A series of TF Serving's belongs to a model by its pod, and counts
only where the name that the client asked for is that model's: clients may ask for anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SERVERS, OURS = "tfcanary-servers", "tfcanary"
"""The jobs: the model servers, and the guards and steps."""
SCRAPES = "2m"
"""At least two scrapes of any usual interval: what a rate needs."""
WINDOW = "5m"
VERBS = '{API=~"(?i:predict|classify|regress)"}'
"""Probes of the REST API are in the histogram, too, with an empty API."""
FAILED = 'request_count{status!="OK"}'
OF_RELEASE = "namespace, model, version"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that others are made of."""

    record: str
    expr: str

    def rule(self) -> Json:
        """As Prometheus reads it."""
        return {"record": self.record, "expr": tidy(self.expr)}


def tidy(expr: str) -> str:
    """Without the indentation of the source."""
    lines = [line.strip() for line in expr.strip().splitlines()]
    return "\n".join(lines)


def newest(metric: str, by: str = OF_RELEASE) -> str:
    """The value of a metric of ours, whoever exports it."""
    return f"max by ({by}) ({metric})"


def age(metric: str) -> str:
    """Seconds since an instant of ours."""
    return f"time() - {newest(metric)}"


def of_servers(metric: str, window: str) -> str:
    """A rate of each server, by the model that was asked for, where its pod serves that model."""
    rate = f"rate(:tensorflow:serving:{metric}[{window}])"
    return f'label_replace({rate}, "model", "$1", "model_name", "(.+)") and on (namespace, pod, model) up{{job="{SERVERS}"}}'


def by_track(expr: str) -> str:
    """With the track that a version serves; a version that serves none is left out."""
    return f"({expr}) * on ({OF_RELEASE}) group_left (track) tfcanary:track:info"


RECORDINGS = (
    # A version is of one track, also while two exporters are not of one mind yet.
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
