"""The words and colours of findings, decisions and states, and the one sentence that says why."""

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
"""The figure of an evidence that says how many requests the canary had."""

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
_BARE = {
    State.OPEN: "The candidate is being checked and deployed; it has no traffic yet.",
    State.PROMOTING: "The judge said promote; the candidate is becoming the stable version.",
    State.ROLLING_BACK: "The decision has fallen; the traffic goes back to the stable version.",
}


def of_finding(finding: Finding) -> Badge:
    """In a table."""
    return Badge(_FINDINGS[finding], finding.value)


def of_gate(look: Look) -> Badge:
    """As the answer of a page. A gate where nothing was asked has not passed: it says so."""
    if look.absent and not any(e.gating for e in look.evidence):
        return Badge(Tone.PLAIN, "Absent by plan" if all(ABSENT in a.reason for a in look.absent) else "Not asked")
    return Badge(_FINDINGS[look.finding], _GATES[look.finding])


def of_decision(decision: Decision) -> Badge:
    """In a table."""
    return _DECISIONS[decision]


def of_verdict(decision: Decision) -> Badge:
    """As the answer of a page."""
    return Badge(_DECISIONS[decision].tone, _ANSWERS[decision])


def of_state(state: State) -> Badge:
    """In a table."""
    return Badge(_STATES.get(state, Tone.PLAIN), state.value)


def of_release(release: Release) -> Badge:
    """As the answer of a page: how it ended, and where."""
    words = f"{release.state.value} {where(release)}".strip()
    return Badge(_STATES.get(release.state, Tone.PLAIN), words[0].upper() + words[1:])


def where(release: Release) -> str:
    """At which stage a release stands or ended; nothing for one that was promoted."""
    if release.state in (State.PROMOTED, State.PROMOTING):
        return ""
    if release.state is State.OPEN:
        return "(no traffic yet)"
    weights = release.plan.weights
    if 0 <= release.stage < len(weights) and release.state is not State.REFUSED:
        return f"at stage {release.stage} ({weights[release.stage]} %)"
    return "before any traffic" if release.first_traffic is None else ""


def why(release: Release) -> str:
    """The sentence beneath the answer."""
    if release.state is State.WATCHED and not release.reason:
        return f"The canary has {release.weight} % of the traffic and is being watched.{_paused(release)}"
    return release.reason or _BARE.get(release.state, "No reason was recorded.")


def _paused(release: Release) -> str:
    if release.pause is None:
        return ""
    return (
        f" {'It waits for a person to approve it' if release.pause.approval else 'A person paused it'}, since {release.pause.since:%H:%M}."
    )


def sentence(reason: str) -> str:
    """A reason as it stands alone: with a capital and a full stop, where it begins with a plain word."""
    first, _, rest = reason.partition(" ")
    begun = f"{first.capitalize()} {rest}" if rest and first.isascii() and first.isalpha() and first.islower() else reason
    return begun if not begun or begun[-1] in ".!?" else f"{begun}."


def why_of_look(look: Look) -> str:
    """The reason of the worst finding; where all is well, how much was asked."""
    gating = [e for e in look.evidence if e.gating]
    if not gating:
        return f"Nothing was asked here: {look.absent[0].reason}." if look.absent else "Nothing was asked that may decide."
    finding = look.finding
    if finding is Finding.PASS:
        return "The one check passed." if len(gating) == 1 else f"All {plain(len(gating))} checks passed."
    return next(e.reason for e in gating if e.finding is finding)


def tally(evidence: Iterable[Evidence]) -> tuple[tuple[str, str], ...]:
    """How often each finding occurs among what may decide, worst first; findings that do not occur are left out."""
    found = Counter(e.finding for e in evidence if e.gating)
    return tuple((finding.value, plain(found[finding])) for finding in reversed(Finding) if found[finding])


def tally_words(evidence: Iterable[Evidence]) -> str:
    """The same in a sentence: 1 fail, 3 pass."""
    return ", ".join(f"{count} {word}" for word, count in tally(evidence)) or "nothing asked"


def named(version: ModelVersion | None) -> str:
    """`digits v3` where the directory names the model, else `version 3`."""
    if version is None:
        return "the candidate"
    parts = PurePosixPath(version.uri).parts
    known = len(parts) > 2 and parts[-1] == str(version.number)
    return f"{parts[-2]} v{version.number}" if known else f"version {version.number}"


def last_verdict(release: Release) -> Verdict | None:
    """What the end rests on: the verdict that rolled it back, or that of the latest stage; one that rests on nothing only where there is no other."""
    if release.tripped and release.tripped.evidence:
        return release.tripped
    said = (*release.verdicts, *release.watched)
    return max(said, key=lambda v: (bool(v.evidence), v.stage), default=None)


def canary_requests(release: Release, timeline: Timeline | None = None) -> float | None:
    """How many requests reached the canary; None where nobody counted."""
    if release.first_traffic is None:
        return 0.0
    if timeline and timeline.points:
        return timeline.points[-1].canary_requests
    figures = (e.figures.get(CANARY_REQUESTS) for v in (*release.watched, *release.verdicts) for e in v.evidence)
    return max((f for f in figures if isinstance(f, int | float)), default=None)
