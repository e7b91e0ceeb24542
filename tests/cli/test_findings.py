"""Findings in the terminal: amber where nothing was decided, grey where nothing decides."""

from __future__ import annotations

import pytest
from rich.color import Color, ColorSystem
from rich.console import Console

from tfcanary.cli import findings
from tfcanary.core.domain import Evidence, Finding, Look
from tfcanary.run.submit.progress import COLOUR


def test_what_does_not_decide_is_dim_and_what_is_undecided_is_not_red(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(record=True, width=80, force_terminal=True, color_system="truecolor")
    monkeypatch.setattr(findings, "Console", lambda: console)
    shown = Evidence("shown", Finding.FAIL, "moved", gating=False)
    findings.print_look(Look("x", (shown, Evidence("asked", Finding.INCONCLUSIVE, "too few"))), "t")
    lines = console.export_text(styles=True).splitlines()
    (row,) = [line for line in lines if "moved" in line]
    assert "\x1b[2mfail" in row
    assert "\x1b[31m" not in row
    (row,) = [line for line in lines if "too few" in line]
    assert "\x1b[38;5;214minconclusive" in row
    # On a terminal of sixteen colours it becomes a yellow, never a red.
    assert Color.parse(COLOUR[Finding.INCONCLUSIVE]).downgrade(ColorSystem.STANDARD).number == 11
    assert COLOUR[Finding.INCONCLUSIVE] not in (COLOUR[Finding.FAIL], COLOUR[Finding.PASS], COLOUR[Finding.WARN])
