"""The report of a gate: what one look at the world found."""

from __future__ import annotations

from tfcanary.domain import Look
from tfcanary.report.blocks import Page, Section, Signatures
from tfcanary.report.evidence import absent_section, evidence_blocks
from tfcanary.report.signatures import SignaturePairs
from tfcanary.report.words import of_gate, sentence, tally, why_of_look


def look_page(look: Look, title: str, pairs: SignaturePairs | None) -> Page:
    """The finding first, why, the evidence, the signatures where there are two, and what was not asked."""
    blocks = evidence_blocks(look.evidence)
    sections = [Section("Evidence", blocks)] if blocks else []
    if pairs is not None:
        sections.append(Section(f"Signature {pairs.signature}", (Signatures(pairs),)))
    return Page(
        title=title,
        about=title,
        answer=of_gate(look),
        why=sentence(why_of_look(look)),
        facts=tally(look.evidence),
        sections=(*sections, *absent_section(look.absent)),
    )
