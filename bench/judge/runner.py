"""Runs watches before judges and keeps the outcomes. A watch is named by seed, cell and number, so that any subset can be run again."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from bench.judge import oracle
from bench.judge.contestants import ENTRIES, JudgeEntry
from bench.judge.scenarios import ALIKE, HOUR, Cell
from bench.judge.traffic import Watch, requests, watch

CHUNK = 10
"""Number of watches of one task."""
ORACLE_OF_GOOD = 50
"""Number of healthy watches of a cell for which the oracle is asked: its median is needed, not its rate, and it is slow."""


@dataclass(frozen=True)
class WatchOutcome:
    """The outcome of one watch."""

    answer: str
    seconds: float
    """Seconds until the answer; an hour where there was none."""
    exposed: float
    """Number of requests that the canary answered in the hour; after a promotion it answers all."""
    needs_servers: bool = False
    """Whether the judge, undecided after an hour, said that more canary servers are needed."""
    cost: float = field(default=0.0, compare=False)
    """Processor seconds of a poll, without calibration and the making of the watch."""


@dataclass
class CellResult:
    """All outcomes of a cell."""

    cell: Cell
    outcomes: dict[str, list[WatchOutcome]] = field(default_factory=dict)
    """Outcomes by the judge's key."""
    plain: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    """Seconds of the oracle and of the waiting oracle, infinite where it cannot know within the hour.

    Of healthy canaries there is the waiting oracle alone.
    """


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
    report: Callable[[str], None],
    oracle_of_good: int = ORACLE_OF_GOOD,
) -> list[CellResult]:
    """Run every watch of the cells before every judge; the results are in the order of the cells."""
    tasks = list(_tasks(cells, judges, seed, oracle_of_good))
    result = {cell.name: CellResult(cell, {key: [] for key in judges}) for cell in cells}
    for number, (task, part) in enumerate(_results(tasks, workers), start=1):
        _merge(result[task.cell.name], part)
        if number % 50 == 0 or number == len(tasks):
            report(f"{number} of {len(tasks)} parts")
    return list(result.values())


def _tasks(cells: Iterable[Cell], judges: tuple[str, ...], seed: int, oracle_of_good: int) -> Iterator[_Task]:
    for cell in cells:
        for start in range(0, cell.size, CHUNK):
            yield _Task(cell, seed, range(start, min(start + CHUNK, cell.size)), judges, oracle_of_good)


def _results(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[_Task, CellResult]]:
    if workers == 1:
        yield from zip(tasks, map(_work, tasks), strict=True)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from zip(tasks, pool.map(_work, tasks), strict=True)


def _work(task: _Task) -> CellResult:
    result = CellResult(task.cell, {key: [] for key in task.judges})
    for number in task.numbers:
        one = watch(task.cell, task.seed, number)
        for key in task.judges:
            result.outcomes[key].append(judge_watch(one, ENTRIES[key]))
        if not task.cell.fault.is_good:
            result.plain.append(_or_never(oracle.rollback_time(one, waiting=False)))
            result.waiting.append(_or_never(oracle.rollback_time(one)))
        elif task.cell.fault == ALIKE and number < task.oracle_of_good:
            result.waiting.append(_or_never(oracle.promote_time(one)))
    return result


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _merge(whole: CellResult, part: CellResult) -> None:
    for key, outcomes in part.outcomes.items():
        whole.outcomes[key] += outcomes
    whole.plain += part.plain
    whole.waiting += part.waiting


def judge_watch(one: Watch, entry: JudgeEntry) -> WatchOutcome:
    """Run one watch before one fresh judge."""
    judge = entry.make()
    judge.calibrate(one.history)
    began, polls, answer, seconds = time.process_time(), 0, "continue", HOUR
    for t, stable, canary in one.polls():
        polls += 1
        answer = judge.update(t, stable, canary)
        if answer not in ("continue", "promote", "rollback"):
            raise ValueError(f"{answer!r}: a judge answers continue, promote or rollback")
        if answer != "continue":
            seconds = t
            break
    cost = (time.process_time() - began) / max(polls, 1)
    needs_servers = answer == "continue" and entry.needs_servers(judge)
    return WatchOutcome(answer, seconds, _exposed(one, answer, seconds), needs_servers, cost)


def _exposed(one: Watch, answer: str, t: float) -> float:
    until = round(t / one.cell.poll)
    canary = requests(one.canary)
    after = float(np.sum((canary + requests(one.stable))[until:])) if answer == "promote" else 0.0
    return float(np.sum(canary[:until])) + after


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))
