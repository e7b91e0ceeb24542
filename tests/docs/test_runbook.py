"""The runbook says what the code says: its sentences are the code's, and every alert has its section."""

from __future__ import annotations

import re

import pytest

from docs.markdown import anchors, blocks
from tests.docs.documents import ROOT
from tfcanary.run.monitor import rules

RUNBOOK = ROOT / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tfcanary").rglob("*.py")))
QUOTED = (
    "the canary was left alone", "the run ended without a verdict", "ended without a word",
    "not promoted: ", "undecided after ", "will not serve",
    "was not AVAILABLE within", "no server of", "the traffic in force is", "the canary has not answered for",
    "no canary request for", "has restarted", "of its configured share arrives", "is active",
    "there is no stable version to compare with", "is stable already, and it has the very same bytes", "we may not: ",
    "was not made by tfcanary for", "cannot be had with", "and this tfcanary knows schema",
    "no weight is raised without a guard that can watch", "did not report", "the world did not become what release",
    "requests from which its level is taken", "neither track answers: their metrics cannot be read", "promotion needs less than",
    "needed so far", "together: ", "did not do it in", "is read back: somebody else writes it, too",
    "its canary gets no more traffic",
)  # fmt: skip
"""Parts of sentences that the runbook explains; each stands in the code, word for word."""


@pytest.mark.parametrize("part", QUOTED)
def test_a_sentence_that_the_runbook_explains_is_the_codes(part: str) -> None:
    assert part in SOURCES
    words = [word for word in re.split(r"\W+", part) if word]
    assert re.search(r"\W+".join(map(re.escape, words)), TEXT), part


def test_every_alert_has_its_section() -> None:
    missing = [one.alert for one in rules.ALERTS if one.alert.lower() not in anchors(TEXT)]
    assert not missing


def test_the_retries_that_the_runbook_tells_are_the_codes() -> None:
    from tfcanary.adapters.kubeclient.api import PATIENCE
    from tfcanary.adapters.storage.gcs import DEADLINE

    assert f"up to {PATIENCE:.0f} s: nothing" in TEXT
    assert f"up to {DEADLINE:.0f} s: nothing" in TEXT


def test_the_defaults_that_the_runbook_tells_are_the_plans() -> None:
    from docs.plan_tables import shown_default
    from tfcanary.core.plan import DeployPlan, GuardsPlan

    told = re.findall(r"`(deploy|judge\.guards)\.(\w+)`\s+\((\d+ [smhd])\)", TEXT)
    assert len(told) > 4
    for part, name, default in told:
        kind = DeployPlan if part == "deploy" else GuardsPlan
        assert shown_default(kind, name) == default.replace(" ", ""), f"{part}.{name}"


def test_commands_of_the_runbook_name_the_platform() -> None:
    for block in blocks(TEXT):
        for line in block.text.splitlines():
            assert not line.startswith("tfcanary ") or "kube://serving" in line, line
