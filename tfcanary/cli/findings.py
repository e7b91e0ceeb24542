"""Prints the result of `validate` and `doctor` in the terminal, and maps it to an exit code."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfcanary.core.domain import Finding, Look
from tfcanary.run.submit.progress import COLOUR

EXIT = {Finding.PASS: 0, Finding.WARN: 0, Finding.FAIL: 1, Finding.INCONCLUSIVE: 3}


def reasons(look: Look) -> list[str]:
    """Return the reasons of all findings that are not `pass`, the worst first."""
    order = list(Finding)
    not_passed = [e for e in look.evidence if e.finding is not Finding.PASS]
    return [e.reason for e in sorted(not_passed, key=lambda e: -order.index(e.finding))]


def print_look(look: Look, title: str) -> None:
    """Print the checks as a table, and the overall finding as the last line, which stays visible in a terminal."""
    table = Table("check", "finding", "reason", title=title)
    for evidence in look.evidence:
        if evidence.gating:
            table.add_row(evidence.about, f"[{COLOUR[evidence.finding]}]{evidence.finding.value}[/]", escape(evidence.reason))
        else:
            table.add_row(evidence.about, evidence.finding.value, escape(evidence.reason), style="dim")
    for absence in look.absent:
        table.add_row(absence.about, "", escape(absence.reason), style="dim")
    console = Console()
    console.print(table)
    console.print(f"[bold {COLOUR[look.finding]}]{look.finding.value}[/]")
