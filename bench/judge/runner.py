"""Hands watches to judges and keeps what became of each. Watches are named by seed, cell and number: any subset can be run again."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from bench.judge import oracle
from bench.judge.contestants import ENTRIES, Contestant
from bench.judge.scenarios import ALIKE, HOUR, Cell
from bench.judge.traffic import Watch, watch

CHUNK = 10
"""Watches of one task."""
ORACLE_OF_GOOD = 50
"""Healthy watches of a cell for which the oracle is asked: its median is needed, not its rate, and it is slow."""


@dataclass(frozen=True)
class Outcome:
    """What became of one watch."""

    word: str
    seconds: float
    """Until the word; an hour where there was none."""
    exposed: float
    """Requests that the canary answered in the hour; after a promotion it answers all."""
    cost: float = field(default=0.0, compare=False)
    """Seconds of the processor for a poll, calibration and the making of the watch left out."""


@dataclass
class Found:
    """All outcomes of a cell."""

    cell: Cell
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    """By the judge's key."""
    plain: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    """Seconds of the oracle and the waiting oracle, infinite where it cannot know within the hour; of healthy canaries the second only."""


@dataclass(frozen=True)
class _Task:
    cell: Cell
    seed: int
    numbers: range
    judges: tuple[str, ...]
    oracle_of_good: int


def run(
    cells: Sequence[Cell],
    judges: tuple[str, ...],
    seed: int,
    workers: int,
    tell: Callable[[str], None],
    oracle_of_good: int = ORACLE_OF_GOOD,
) -> list[Found]:
    """Every watch of the cells before every judge; in the order of the cells."""
    tasks = list(_tasks(cells, judges, seed, oracle_of_good))
    found = {cell.name: Found(cell, {key: [] for key in judges}) for cell in cells}
    for done, (task, part) in enumerate(_worked(tasks, workers), start=1):
        _merge(found[task.cell.name], part)
        if done % 50 == 0 or done == len(tasks):
            tell(f"{done} of {len(tasks)} parts")
    return list(found.values())


def _tasks(cells: Iterable[Cell], judges: tuple[str, ...], seed: int, oracle_of_good: int) -> Iterator[_Task]:
    for cell in cells:
        for start in range(0, cell.size, CHUNK):
            yield _Task(cell, seed, range(start, min(start + CHUNK, cell.size)), judges, oracle_of_good)


def _worked(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[_Task, Found]]:
    if workers == 1:
        yield from zip(tasks, map(_work, tasks), strict=True)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from zip(tasks, pool.map(_work, tasks), strict=True)


def _work(task: _Task) -> Found:
    found = Found(task.cell, {key: [] for key in task.judges})
    for number in task.numbers:
        one = watch(task.cell, task.seed, number)
        for key in task.judges:
            found.outcomes[key].append(judged(one, ENTRIES[key].make()))
        if not task.cell.fault.is_good:
            found.plain.append(_or_never(oracle.rollback_time(one, waiting=False)))
            found.waiting.append(_or_never(oracle.rollback_time(one)))
        elif task.cell.fault == ALIKE and number < task.oracle_of_good:
            found.waiting.append(_or_never(oracle.promote_time(one)))
    return found


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _merge(whole: Found, part: Found) -> None:
    for key, outcomes in part.outcomes.items():
        whole.outcomes[key] += outcomes
    whole.plain += part.plain
    whole.waiting += part.waiting


def judged(one: Watch, judge: Contestant) -> Outcome:
    """One watch before one judge."""
    judge.calibrate(one.history)
    began, polls, word, seconds = time.process_time(), 0, "continue", HOUR
    for t, stable, canary in one.polls():
        polls += 1
        word = judge.update(t, stable, canary)
        if word not in ("continue", "promote", "rollback"):
            raise ValueError(f"{word!r}: a judge answers continue, promote or rollback")
        if word != "continue":
            seconds = t
            break
    cost = (time.process_time() - began) / max(polls, 1)
    return Outcome(word, seconds, _exposed(one, word, seconds), cost)


def _exposed(one: Watch, word: str, t: float) -> float:
    until = round(t / one.cell.poll)
    canary = one.canary.ok + one.canary.err
    after = float(np.sum((canary + one.stable.ok + one.stable.err)[until:])) if word == "promote" else 0.0
    return float(np.sum(canary[:until])) + after


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
