"""The report of a gate: what one look at the world found."""

from __future__ import annotations

from tfcanary.core.domain import Look
from tfcanary.report.blocks import Fold, Page, Section, Signatures
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.signature_table import Change, SignaturePairs
from tfcanary.report.wording import of_gate, sentence, tally, why_of_look


def look_page(look: Look, title: str, pairs: SignaturePairs | None) -> Page:
    """The finding first, why, the evidence, the signatures where there are two, and what was not asked."""
    blocks = evidence_blocks(look.evidence)
    sections = [Section("Evidence", blocks)] if blocks else []
    return Page(
        title=title,
        about=title,
        answer=of_gate(look),
        why=sentence(why_of_look(look)),
        facts=tally(look.evidence),
        sections=(*sections, *signature_section(pairs), *absent_section(look.absent)),
    )


def signature_section(pairs: SignaturePairs | None) -> tuple[Section, ...]:
    """Both signatures side by side, folded away where they are the same; no section where there are not two."""
    if pairs is None:
        return ()
    changed = any(row.change is not Change.SAME for row in pairs.rows)
    shown = Signatures(pairs)
    block = shown if changed else Fold("Both versions declare the same", (shown,))
    return (Section(f"Signature {pairs.signature}", (block,)),)
