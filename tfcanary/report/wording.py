"""The words and tones of findings, decisions and states, and the sentence that gives the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from tfcanary.core.domain import Decision, Evidence, Finding, Look, ModelVersion, Verdict
from tfcanary.core.record import Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import Badge
from tfcanary.report.numbers import plain
from tfcanary.report.plots.glyph import Tone

CANARY_REQUESTS = "canary requests"
"""The figure of an evidence that holds the number of the canary's requests."""

ABSENT = "absent by plan"
"""The reason of an absence that the plan decided."""

_FINDINGS = {Finding.PASS: Tone.GOOD, Finding.WARN: Tone.WARN, Finding.INCONCLUSIVE: Tone.DOUBT, Finding.FAIL: Tone.BAD}
_GATES = {
    Finding.PASS: "Passed",
    Finding.WARN: "Passed, with warnings",
    Finding.INCONCLUSIVE: "Inconclusive",
    Finding.FAIL: "Failed",
}
_DECISIONS = {
    Decision.ADVANCE: Badge(Tone.GOOD, "advance"),
    Decision.PROMOTE: Badge(Tone.GOOD, "promote"),
    Decision.HOLD: Badge(Tone.DOUBT, "hold"),
    Decision.ROLLBACK: Badge(Tone.BAD, "rollback"),
}
_ANSWERS = {Decision.ADVANCE: "Advance", Decision.PROMOTE: "Promote", Decision.HOLD: "Hold", Decision.ROLLBACK: "Roll back"}
_STATES = {State.PROMOTED: Tone.GOOD, State.ROLLED_BACK: Tone.BAD, State.REFUSED: Tone.BAD, State.ROLLING_BACK: Tone.BAD}
_WITHOUT_REASON = {
    State.OPEN: "The candidate is being checked and deployed; it has no traffic yet.",
    State.PROMOTING: "The judge decided to promote; the candidate is becoming the stable version.",
    State.ROLLING_BACK: "The release is being rolled back; the traffic returns to the stable version.",
}


def finding_badge(finding: Finding) -> Badge:
    """Return the badge of a finding, for a table."""
    return Badge(_FINDINGS[finding], finding.value)


def gate_answer(look: Look) -> Badge:
    """Return the answer of a gate's page. A gate that checked nothing has not passed: its answer is `Absent by plan` or `Not checked`."""
    if look.absent and not any(e.gating for e in look.evidence):
        return Badge(Tone.PLAIN, "Absent by plan" if all(ABSENT in a.reason for a in look.absent) else "Not checked")
    return Badge(_FINDINGS[look.finding], _GATES[look.finding])


def decision_badge(decision: Decision) -> Badge:
    """Return the badge of a decision, for a table."""
    return _DECISIONS[decision]


def verdict_answer(decision: Decision) -> Badge:
    """Return the answer of a verdict's page."""
    return Badge(_DECISIONS[decision].tone, _ANSWERS[decision])


def state_badge(state: State) -> Badge:
    """Return the badge of a release's state, for a table."""
    return Badge(_STATES.get(state, Tone.PLAIN), state.value)


def release_answer(release: Release) -> Badge:
    """Return the answer of a release's page: its state and the stage."""
    words = f"{release.state.value} {place(release)}".strip()
    return Badge(_STATES.get(release.state, Tone.PLAIN), words[0].upper() + words[1:])


def place(release: Release) -> str:
    """Return the stage at which a release is or ended; empty for a release that was promoted."""
    if release.state in (State.PROMOTED, State.PROMOTING):
        return ""
    if release.state is State.OPEN:
        return "(no traffic yet)"
    weights = release.plan.weights
    if 0 <= release.stage < len(weights) and release.state is not State.REFUSED:
        return f"at stage {release.stage} ({weights[release.stage]} %)"
    return "before any traffic" if release.first_traffic is None else ""


def release_reason(release: Release) -> str:
    """Return the sentence below the answer of a release's page."""
    if release.state is State.WATCHED and not release.reason:
        return f"The canary has {release.weight} % of the traffic and is being watched.{_pause_sentence(release)}"
    return release.reason or _WITHOUT_REASON.get(release.state, "No reason was recorded.")


def _pause_sentence(release: Release) -> str:
    if release.pause is None:
        return ""
    cause = "It waits for a person to approve it" if release.pause.approval else "A person paused it"
    return f" {cause}, since {release.pause.since:%H:%M}."


def sentence(reason: str) -> str:
    """Return a reason with a full stop, and with a capital letter where it begins with an ordinary word."""
    first, _, rest = reason.partition(" ")
    capitalized = f"{first.capitalize()} {rest}" if rest and first.isascii() and first.isalpha() and first.islower() else reason
    return capitalized if not capitalized or capitalized[-1] in ".!?" else f"{capitalized}."


def look_reason(look: Look) -> str:
    """Return the reason of the worst finding of a gate; where everything passed, the number of checks."""
    gating = [e for e in look.evidence if e.gating]
    if not gating:
        return f"Nothing was checked here: {look.absent[0].reason}." if look.absent else "Nothing was checked that may decide."
    finding = look.finding
    if finding is Finding.PASS:
        return "The one check passed." if len(gating) == 1 else f"All {plain(len(gating))} checks passed."
    return next(e.reason for e in gating if e.finding is finding)


def tally(evidence: Iterable[Evidence]) -> tuple[tuple[str, str], ...]:
    """Return each finding of the gating evidence with its count, the worst first; findings that do not occur are omitted."""
    counts = Counter(e.finding for e in evidence if e.gating)
    return tuple((finding.value, plain(counts[finding])) for finding in reversed(Finding) if counts[finding])


def tally_words(evidence: Iterable[Evidence]) -> str:
    """Return the counts of `tally` in one line, for example `1 fail, 3 pass`."""
    return ", ".join(f"{count} {word}" for word, count in tally(evidence)) or "nothing checked"


def version_name(version: ModelVersion | None) -> str:
    """Return `digits v3` where the directory of the version contains the model's name, else `version 3`."""
    if version is None:
        return "the candidate"
    parts = PurePosixPath(version.uri).parts
    has_model_name = len(parts) > 2 and parts[-1] == str(version.number)
    return f"{parts[-2]} v{version.number}" if has_model_name else f"version {version.number}"


def last_verdict(release: Release) -> Verdict | None:
    """Return the verdict that the release's end is based on: the one that rolled it back, else that of the latest stage.

    A verdict without evidence is returned only where no other exists; None where there is no verdict.
    """
    if release.tripped and release.tripped.evidence:
        return release.tripped
    verdicts = (*release.verdicts, *release.watched)
    return max(verdicts, key=lambda v: (bool(v.evidence), v.stage), default=None)


def canary_requests(release: Release, timeline: Timeline | None = None) -> float | None:
    """Return how many requests reached the canary; None where they were not counted."""
    if release.first_traffic is None:
        return 0.0
    if timeline and timeline.points:
        return timeline.points[-1].canary_requests
    figures = (e.figures.get(CANARY_REQUESTS) for v in (*release.watched, *release.verdicts) for e in v.evidence)
    return max((f for f in figures if isinstance(f, int | float)), default=None)
