"""Whatever valid models are mutated into, the gate answers: no exception, no endless work, no mountain of memory."""

import random
import resource
import shutil
import time

import pytest

from tests.look.savedmodels.edits import request, warmed
from tests.look.savedmodels.mutations import mutated
from tfcanary.core import codec
from tfcanary.core.domain import Finding, Look
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check, manifest

CASES = 2000
BASES = ("dense", "vocabulary_file", "several_signatures", "exported_by_tensorflow_1", "branches")
LONGEST = 10.0
"""Seconds for one model of a few kilobytes, however loaded the machine is."""


def judged(model, pick, stable):
    with mutated(model, pick) as how:
        began = time.process_time()
        look = check(model, ValidationPlan(), stable)
        assert time.process_time() - began < LONGEST, how
        assert manifest(model).digest
    assert codec.loads(Look, codec.dumps(look)) == look, how
    assert all(one.reason or one.finding is Finding.PASS for one in look.evidence), how
    return look.finding


def mutate(collection, root, cases, seed):
    """How often each finding came out."""
    counts = dict.fromkeys(Finding, 0)
    models = []
    for name in BASES:
        models.append(shutil.copytree(collection / name, root / name))
        if name == "dense":
            warmed(models[-1], request(models[-1]), request(models[-1], shape=(2, 4), values=8))
    pick = random.Random(seed)
    for case in range(cases):
        # A stable model now and then: reading it takes as long as the candidate.
        counts[judged(models[case % len(models)], pick, collection / "dense" if case % 10 == 0 else None)] += 1
    return counts


def test_a_few_mutations_always_end_in_a_finding(collection, tmp_path):
    counts = mutate(collection, tmp_path, 150, seed=3)
    assert sum(counts.values()) == 150
    assert counts[Finding.FAIL] > 30


@pytest.mark.slow
def test_two_thousand_mutations_always_end_in_a_finding_and_in_bounded_memory(collection, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = mutate(collection, tmp_path, CASES, seed=20_260_131)
    assert sum(counts.values()) == CASES
    assert counts[Finding.FAIL] > CASES // 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
