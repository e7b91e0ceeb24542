"""The page of a gate: the result of one look."""

from __future__ import annotations

from tfcanary.core.domain import Look
from tfcanary.report.blocks import Fold, ReportPage, Section, SignatureDiff
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.signature_table import SignatureChange, SignaturePairs
from tfcanary.report.wording import gate_answer, look_reason, sentence, tally


def look_page(look: Look, title: str, pairs: SignaturePairs | None) -> ReportPage:
    """Return the page: finding, reason, evidence, the signatures where both are known, and what was not checked."""
    blocks = evidence_blocks(look.evidence)
    sections = [Section("Evidence", blocks)] if blocks else []
    return ReportPage(
        title=title,
        about=title,
        answer=gate_answer(look),
        why=sentence(look_reason(look)),
        facts=tally(look.evidence),
        sections=(*sections, *signature_section(pairs), *absent_section(look.absent)),
    )


def signature_section(pairs: SignaturePairs | None) -> tuple[Section, ...]:
    """Return a section with both signatures side by side, folded where they are equal; no section where `pairs` is None."""
    if pairs is None:
        return ()
    changed = any(row.change is not SignatureChange.SAME for row in pairs.rows)
    diff = SignatureDiff(pairs)
    block = diff if changed else Fold("Both versions declare the same signature", (diff,))
    return (Section(f"Signature {pairs.signature}", (block,)),)
