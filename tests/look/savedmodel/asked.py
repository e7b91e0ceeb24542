"""Short words for what the tests ask."""

from tfcanary.core.domain import Evidence, Finding, Look
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check


def found(look: Look, about: str) -> Evidence:
    return next(one for one in look.evidence if one.about == f"savedmodel/{about}")


def ask(model, about: str, stable=None) -> Evidence:
    return found(check(model, ValidationPlan(), stable), about)


def refuses(evidence: Evidence, *words: str) -> None:
    assert evidence.finding is Finding.FAIL, evidence
    for word in words:
        assert word in evidence.reason, evidence.reason
