"""What Prometheus is given to see in the tests of the alerts: a release that is as it should be, and what is changed about it.

Series are in promtool's notation, a value every 30 s. Time begins at 0, so that instants are small numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS = 120
"""An hour."""
NOW = f"0+30x{STEPS}"
"""An instant that is renewed all the time."""
RELEASE = 'namespace="serving",model="digits",version="2"'
MODEL = 'namespace="serving",model="digits"'


def constantly(value: float) -> str:
    return f"{value:g}x{STEPS}"


def until(minutes: float, values: str = NOW) -> str:
    """As it grows for so many minutes, and from then on always the same."""
    steps = int(minutes * 2)
    return f"{values.partition('x')[0]}x{steps} {30 * steps}x{STEPS - steps - 1}"


def gone(minutes: float, values: str) -> str:
    """As it is for so many minutes; then its exporter is gone, which Prometheus notices at once."""
    return f"{values.partition('x')[0]}x{int(minutes * 2)} stale"


def state(of: str) -> dict[str, str]:
    every = ("open", "watched", "promoting", "rolling back", "promoted", "rolled back", "refused")
    return {f'tfcanary_release_state{{{RELEASE},state="{one}"}}': constantly(float(one == of)) for one in every}


def server(pod: str, version: int, answers: float, errors: float = 0.0, name: str = "digits") -> dict[str, str]:
    """A pod and what it counts, requests a second."""
    target = f'namespace="serving",pod="{pod}",model="digits",version="{version}"'
    counted = f'{target},model_name="{name}"'
    return {
        f'up{{job="tfcanary-servers",{target}}}': constantly(1),
        f':tensorflow:serving:request_latency_count{{{counted},API="predict",entrypoint="REST"}}': f"0+{answers * 30:g}x{STEPS}",
        f':tensorflow:serving:request_count{{{counted},status="INTERNAL"}}': f"0+{errors * 30:g}x{STEPS}",
    }


OURS = {
    **state("watched"),
    f"tfcanary_record_read_timestamp_seconds{{{MODEL}}}": NOW,
    f'tfcanary_track_info{{{MODEL},version="1",track="stable"}}': constantly(1),
    f'tfcanary_track_info{{{RELEASE},track="canary"}}': constantly(1),
    f"tfcanary_weight_asked_ratio{{{RELEASE}}}": constantly(0.5),
    f'tfcanary_stage_began_timestamp_seconds{{{RELEASE},stage="0"}}': constantly(0),
    f"tfcanary_stage_maximum_seconds{{{RELEASE}}}": constantly(3600),
    f"tfcanary_stage_waited_seconds{{{RELEASE}}}": constantly(0),
    f"tfcanary_handover_seconds{{{RELEASE}}}": constantly(300),
    f"tfcanary_lease_seconds{{{RELEASE}}}": constantly(60),
    f"tfcanary_guard_heartbeat_seconds{{{RELEASE}}}": constantly(60),
    f"tfcanary_guard_seen_timestamp_seconds{{{RELEASE}}}": NOW,
    f"tfcanary_hold_until_timestamp_seconds{{{RELEASE}}}": f"60+30x{STEPS}",
    f"tfcanary_last_poll_timestamp_seconds{{{RELEASE}}}": NOW,
    f'tfcanary_stage_requests{{{RELEASE},track="stable"}}': f"0+1500x{STEPS}",
    f'tfcanary_stage_requests{{{RELEASE},track="canary"}}': f"0+1505x{STEPS}",
}
"""What the guard and the step export of a release whose canary has half of the requests."""
SERVERS = {**server("digits-v1-a", 1, 50), **server("digits-v2-b", 2, 50)}
GUARD = f"tfcanary_guard_seen_timestamp_seconds{{{RELEASE}}}"
HOLD = f"tfcanary_hold_until_timestamp_seconds{{{RELEASE}}}"
POLL = f"tfcanary_last_poll_timestamp_seconds{{{RELEASE}}}"
WEIGHT = f"tfcanary_weight_asked_ratio{{{RELEASE}}}"
WAITED = f"tfcanary_stage_waited_seconds{{{RELEASE}}}"
MAXIMUM = f"tfcanary_stage_maximum_seconds{{{RELEASE}}}"
STABLE_UP = 'up{job="tfcanary-servers",namespace="serving",pod="digits-v1-a",model="digits",version="1"}'
CANARY_UP = STABLE_UP.replace("v1-a", "v2-b").replace('version="1"', 'version="2"')
OVER = 'tfcanary_release_over_timestamp_seconds{{{release},outcome="{outcome}"}}'
NO_TRAFFIC = {WEIGHT: constantly(0)}


def over(outcome: str, at: float, seen_until: float) -> dict[str, str]:
    """A release that was over at a minute, and is seen from then until another."""
    first, last = int(at * 2), int(seen_until * 2)
    return {OVER.format(release=RELEASE, outcome=outcome): f"_x{first} {at * 60:g}x{last - first} stale"}


def without(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "")


@dataclass(frozen=True)
class Case:
    """What is changed, and which alerts fire at which minute."""

    name: str
    changed: Mapping[str, str]
    fires: Mapping[float, tuple[str, ...]]
    base: Mapping[str, str] = field(default_factory=lambda: {**OURS, **SERVERS})

    @property
    def series(self) -> dict[str, str]:
        return {name: values for name, values in {**self.base, **self.changed}.items() if values}


ALONE, UNSEEN, STUCK, SILENT = "TfcanaryCanaryWithoutWatcher", "TfcanaryCanaryUnseen", "TfcanaryReleaseStuck", "TfcanaryGuardSilent"
BACK, REFUSED, DOWN, ERRORS = "TfcanaryRolledBack", "TfcanaryCandidateRefused", "TfcanaryStableDown", "TfcanaryStableErrors"
MISMATCH, UNREADABLE = "TfcanarySampleRatioMismatch", "TfcanaryRecordUnreadable"
GONE = {name: gone(5, values) for name, values in OURS.items()}
ANSWERS = {
    version: next(n for n in server(f"digits-v{version}-{pod}", version, 50) if "latency" in n) for version, pod in {1: "a", 2: "b"}.items()
}
FAILS = next(name for name in server("digits-v1-a", 1, 50) if "INTERNAL" in name)

CASES = (
    Case("a release as it should be", {}, {1: (), 5: (), 20: ()}),
    Case("no release and no exporter", without(*OURS, CANARY_UP, *server("digits-v2-b", 2, 50)), {12: ()}),
    Case("the guard is gone, and the watcher sees it", {GUARD: until(2)}, {3: (), 7: (ALONE,)}),
    Case("the watcher is gone, and the guard cannot lower the weight", {HOLD: f"60+30x4 180x{STEPS - 5}"}, {3: (), 7: (ALONE,)}),
    Case(
        "one of two exporters has an old page",
        {GUARD.replace("{", '{pod="guard",'): until(2), GUARD.replace("{", '{pod="step",'): NOW, GUARD: ""},
        {10: ()},
    ),
    Case("guard and watcher are gone together", GONE, {4: (), 7: (), 15: (UNSEEN,)}),
    Case("the release ended, and the guard with it", {**GONE, ANSWERS[2]: f"0+1500x10 15000x{STEPS - 11}"}, {6: (), 8: (), 12: ()}),
    Case("a stage is longer than its maximum", {MAXIMUM: constantly(60)}, {8: (), 18: (STUCK,)}),
    Case("a stage is longer than its maximum because it was paused", {MAXIMUM: constantly(60), WAITED: NOW}, {8: (), 18: ()}),
    Case("nobody polls", {POLL: until(2)}, {6: (), 12: (STUCK,)}),
    Case(
        "nobody holds a release without traffic",
        {**state("open"), **NO_TRAFFIC, HOLD: constantly(300), **without(GUARD)},
        {30: (), 45: (STUCK,)},
    ),
    Case("the guard of a release without traffic is silent", {**state("open"), **NO_TRAFFIC, GUARD: until(2)}, {3: (), 8: (SILENT,)}),
    Case("a silent guard of a release that has ended", {**state("promoted"), **NO_TRAFFIC, GUARD: until(2)}, {10: ()}),
    Case("a rollback whose guard is gone a minute later", over("rolled back", 5, 6), {4: (), 7: (BACK,), 30: (BACK,), 40: ()}),
    Case("a rollback that is seen for ever", over("rolled back", 5, 45), {7: (BACK,), 40: ()}),
    Case("a promotion", over("promoted", 5, 20), {7: ()}),
    Case("a refusal", over("refused", 5, 45), {7: (REFUSED,), 40: ()}),
    Case("the stable server is down", {STABLE_UP: f"1x10 0x{STEPS - 11}"}, {6: (), 9: (DOWN,)}),
    Case("the stable pods are gone", {STABLE_UP: gone(5, "1x")}, {6: (), 9: (DOWN,)}),
    Case(
        "every server is down while nobody exports",
        {**without(*OURS, *ANSWERS.values()), STABLE_UP: f"1x10 0x{STEPS - 11}", CANARY_UP: f"1x10 0x{STEPS - 11}"},
        {6: (), 9: (DOWN,)},
    ),
    Case("servers that were never scraped", without(STABLE_UP, CANARY_UP), {12: ()}),
    Case(
        "stable begins to fail",
        {FAILS: f"0x60 0+300x{STEPS - 61}"},
        {29: (), 36: (ERRORS,)},
    ),
    Case("stable fails as always", server("digits-v1-a", 1, 50, errors=5), {12: (), 30: ()}),
    Case(
        "a version that failed as it does was promoted",
        {
            **server("digits-v1-a", 1, 50, errors=5),
            f'tfcanary_track_info{{{MODEL},version="1",track="stable"}}': f"_x40 1x{STEPS - 41}",
            f'tfcanary_track_info{{{MODEL},version="1",track="canary"}}': "1x40 stale",
        },
        {26: ()},
    ),
    Case("the canary fails, and stable does not", server("digits-v2-b", 2, 50, errors=20), {12: ()}),
    Case(
        "a stable that nobody asks fails once",
        {
            **server("digits-v1-a", 1, 0.05),
            FAILS: f"0x60 1x{STEPS - 61}",
        },
        {31: (), 34: ()},
    ),
    Case(
        "clients ask stable's server for models that there are not",
        {next(n for n in server("digits-v1-a", 1, 50, name="nothing") if "INTERNAL" in n): f"0x60 0+3000x{STEPS - 61}"},
        {36: ()},
    ),
    Case(
        "the canary gets a third of what was asked",
        {f'tfcanary_stage_requests{{{RELEASE},track="canary"}}': f"0+300x{STEPS}"},
        {1: (), 10: (MISMATCH,)},
    ),
    Case(
        "the canary gets twice as much as was asked",
        {WEIGHT: constantly(0.1), f'tfcanary_stage_requests{{{RELEASE},track="canary"}}': f"0+375x{STEPS}"},
        {10: (MISMATCH,)},
    ),
    Case(
        "few requests divide unevenly by chance",
        {
            f'tfcanary_stage_requests{{{RELEASE},track="canary"}}': constantly(4),
            f'tfcanary_stage_requests{{{RELEASE},track="stable"}}': constantly(12),
        },
        {12: ()},
    ),
    Case("a mirrored canary gets requests without a weight", {**NO_TRAFFIC}, {12: ()}),
    Case("the record cannot be read", {f"tfcanary_record_read_timestamp_seconds{{{MODEL}}}": until(2)}, {3: (), 8: (UNREADABLE,)}),
    Case("the record was never read", {f"tfcanary_record_read_timestamp_seconds{{{MODEL}}}": constantly(0)}, {10: (UNREADABLE,)}),
)
