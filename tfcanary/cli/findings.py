"""A look in the terminal: how `validate` and `doctor` show what they found, and with which exit code."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfcanary.core.domain import Finding, Look
from tfcanary.run.submit.progress import COLOUR

EXIT = {Finding.PASS: 0, Finding.WARN: 0, Finding.FAIL: 1, Finding.INCONCLUSIVE: 3}


def reasons(look: Look) -> list[str]:
    """Why it is not a plain pass, worst first."""
    order = list(Finding)
    found = [e for e in look.evidence if e.finding is not Finding.PASS]
    return [e.reason for e in sorted(found, key=lambda e: -order.index(e.finding))]


def show(look: Look, title: str) -> None:
    """The look as a table, the finding last, where the eye is."""
    table = Table("check", "finding", "why", title=title)
    for one in look.evidence:
        table.add_row(one.about, f"[{COLOUR[one.finding]}]{one.finding.value}[/]", escape(one.reason))
    for missing in look.absent:
        table.add_row(missing.about, "", escape(missing.reason), style="dim")
    console = Console()
    console.print(table)
    console.print(f"[bold {COLOUR[look.finding]}]{look.finding.value}[/]")
