"""The table of checks in the documentation is the one in the code."""

from pathlib import Path

from tfcanary.look.savedmodel.checks import CHECKS, PARSE, TREE
from tfcanary.look.trial.check_table import TRIAL, with_table

DOCUMENT = Path(__file__).parents[3] / "docs" / "gate.md"


def test_the_table_in_the_documentation_is_fresh():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `python -m tfcanary.look.trial.check_table`"


def test_every_check_has_an_id_of_its_own_a_question_and_what_to_do():
    checks = (TREE, PARSE, *CHECKS, *TRIAL)
    assert len({one.id for one in checks}) == len(checks)
    assert all(one.question.endswith(("?", ".")) for one in checks)
    assert all(one.remedy for one in checks if one.severity.value != "pass")


def test_every_evidence_of_the_trial_is_in_the_table(tried):
    known = {one.id for one in TRIAL}
    for name in ("good", "picky", "random", "beside stable", "beside another", "recorded wrong words", "warmed good"):
        assert {one.about for one in tried(name).evidence} <= known
