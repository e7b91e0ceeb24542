"""The words and tones of findings, decisions and states, and the sentence that gives the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from tfcanary.core.domain import ABSENT, Decision, Evidence, Finding, Look, ModelVersion, Verdict
from tfcanary.core.record import Ended, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import Badge, Cell, CellWithNote
from tfcanary.report.numbers import moment, plain
from tfcanary.report.plots.glyph import Tone

BY_PLAN = "absent by plan"
"""The reason of an absence that the plan decided."""

UNDECIDED_REASON = "undecided"
"""The first word of the reason of a release that ended undecided."""

_FINDINGS = {Finding.PASS: Tone.GOOD, Finding.WARN: Tone.WARN, Finding.INCONCLUSIVE: Tone.DOUBT, Finding.FAIL: Tone.BAD}
_GATES = {
    Finding.PASS: "Passed",
    Finding.WARN: "Passed, with warnings",
    Finding.INCONCLUSIVE: "Inconclusive",
    Finding.FAIL: "Failed",
}
_DECISIONS = {Decision.ADVANCE: Tone.GOOD, Decision.PROMOTE: Tone.GOOD, Decision.HOLD: Tone.PLAIN, Decision.ROLLBACK: Tone.BAD}
_ANSWERS = {Decision.ADVANCE: "Advance", Decision.PROMOTE: "Promote", Decision.HOLD: "Hold", Decision.ROLLBACK: "Roll back"}
_STATES = {State.PROMOTED: Tone.GOOD, State.ROLLED_BACK: Tone.BAD, State.REFUSED: Tone.BAD, State.ROLLING_BACK: Tone.BAD}
_WITHOUT_REASON = {
    State.OPEN: "The candidate is being checked and deployed; it has no traffic yet.",
    State.PROMOTING: "The judge decided to promote; the candidate is becoming the stable version.",
    State.ROLLING_BACK: "The release is being rolled back; the traffic returns to the stable version.",
}


def finding_badge(finding: Finding) -> Badge:
    """Return the badge of a finding that may decide, for a table."""
    return Badge(_FINDINGS[finding], finding.value)


def evidence_badge(evidence: Evidence) -> Badge:
    """Return the badge of an evidence, for a table: grey where the evidence does not gate, because it decides nothing."""
    return finding_badge(evidence.finding) if evidence.gating else Badge(Tone.PLAIN, evidence.finding.value)


def gate_answer(look: Look) -> Badge:
    """Return the answer of a gate's page. A gate that checked nothing has not passed: its answer is `Absent by plan` or `Not checked`."""
    if look.answer == ABSENT:
        return Badge(Tone.PLAIN, "Absent by plan" if all(BY_PLAN in a.reason for a in look.absent) else "Not checked")
    return Badge(_FINDINGS[look.finding], _GATES[look.finding])


def decision_badge(verdict: Verdict) -> Badge:
    """Return the badge of a verdict's decision, for a table; a rollback that found nothing bad is amber."""
    word = f"{'undecided: ' if verdict.undecided else ''}{verdict.decision.value}"
    return Badge(_decision_tone(verdict), word)


def verdict_answer(verdict: Verdict) -> Badge:
    """Return the answer of a verdict's page; a rollback that found nothing bad is amber."""
    answer = _ANSWERS[verdict.decision]
    return Badge(_decision_tone(verdict), f"Undecided: {answer.lower()}" if verdict.undecided else answer)


def _decision_tone(verdict: Verdict) -> Tone:
    tone = _DECISIONS[verdict.decision]
    return Tone.DOUBT if tone is Tone.BAD and not _found_bad(verdict) else tone


def ended_badge(ended: Ended) -> Badge:
    """Return the badge of an earlier release, for a table; one that ended undecided is amber."""
    tone = _STATES.get(ended.state, Tone.PLAIN)
    return Badge(Tone.DOUBT if tone is Tone.BAD and ended.reason.startswith(UNDECIDED_REASON) else tone, ended.state.value)


def release_answer(release: Release) -> Badge:
    """Return the answer of a release's page: its state and the stage. The tone is red only where a gate or the judge found the candidate bad."""
    words = f"{release.state.value} {place(release)}".strip()
    tone = _STATES.get(release.state, Tone.PLAIN)
    if tone is Tone.BAD and not (release.tripped and _found_bad(release.tripped)) and not _refused_by_gate(release):
        tone = Tone.DOUBT
        words += ", undecided" if release.tripped and release.tripped.undecided else ""
    return Badge(tone, words[0].upper() + words[1:])


def _found_bad(verdict: Verdict) -> bool:
    """Whether a rollback rests on evidence of a bad candidate: not on the end of the time, nor on an order, which has no evidence."""
    return not verdict.undecided and bool(verdict.evidence)


def _refused_by_gate(release: Release) -> bool:
    return any(e.gating and e.finding is Finding.FAIL for look in release.looks.values() for e in look.evidence)


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


def release_line_head(release: Release) -> str:
    """Return version, state and stage of a release: `digits v3 rolled back at stage 1 (25 %)`."""
    return f"{_candidate_name(release)} {release.state.value} {place(release)}".strip()


def ended_reason(ended: Ended) -> str:
    """Return why a release ended, and why its windows were overridden, if they were."""
    return f"{ended.reason} (windows overridden: {ended.override})" if ended.override else ended.reason


def release_reason(release: Release) -> str:
    """Return the sentence below the answer of a release's page."""
    if release.reason:
        return release.reason
    if release.state is State.WATCHED:
        return f"The canary has {release.weight} % of the traffic and is being watched.{_pause_sentence(release)}"
    return _WITHOUT_REASON.get(release.state, "No reason was recorded.") + _pause_sentence(release)


def _pause_sentence(release: Release) -> str:
    if release.pause is None:
        return ""
    if release.pause.until:
        return (
            f" It waits for its window since {moment(release.pause.since)}, and weights may rise on "
            f"{release.plan.on_the_clock(release.pause.until)} at the latest."
        )
    cause = "It waits for a person to approve it" if release.pause.approval else "A person paused it"
    said = f": {release.pause.reason.removesuffix('.')}" if release.pause.reason else ""
    return f" {cause}, since {moment(release.pause.since)}{said}."


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


def ended_name(ended: Ended) -> str:
    """Return what names the candidate of an ended release: its version, or its export where it was refused before it was pushed."""
    return ended.export.uri or "not pushed" if ended.version is None else f"version {ended.version}"


def ended_candidate(ended: Ended) -> Cell:
    """Return the cell with `ended_name`, and with the export of a version below it."""
    name = ended_name(ended)
    return CellWithNote(name, ended.export.uri) if ended.export.uri not in ("", name) else name


def _candidate_name(release: Release) -> str:
    """The version of a release, or its export before it was pushed."""
    return version_name(release.candidate) if release.candidate else release.export.uri or "the candidate"


def version_name(version: ModelVersion) -> str:
    """Return `digits v3` where the directory of the version contains the model's name, else `version 3`."""
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
    """Return how many requests reached the canary in all stages; None where no timeline counted them.

    The figures of a verdict are no replacement: a criterion counts only the requests that it compares.
    """
    if release.first_traffic is None:
        return 0.0
    return timeline.points[-1].canary_requests if timeline and timeline.points else None
