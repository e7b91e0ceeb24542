"""Exploring schedules: systematically one or two choices on small scenarios, at random beyond; what fails is shrunk and can be replayed.

`python -m tests.simulation.explore --seconds 3600` explores for an hour; `--seed 17` replays one random schedule with its trace.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from tests.simulation.actors import Run, Scenario
from tests.simulation.scheduler import Choice, What

WAITS = (3.0, 15.0, 40.0, 90.0, 170.0)
"""Seconds by which a write is late: less than a poll, than a renewal, than a lease, and as long as any call may take."""
SMALL = (
    Scenario(),
    Scenario(bad=True),
    Scenario(abort_at=100.0),
    Scenario(second_at=30.0),
    Scenario(lost_at=110.0),
    Scenario(baseline=True),
    Scenario(scaling=True),
    Scenario(frozen=(1, 20)),
)
"""The scenarios that are explored systematically."""


@dataclass(frozen=True)
class Failure:
    """A schedule after which something did not hold."""

    scenario: Scenario
    choices: tuple[Choice, ...]
    violations: tuple[str, ...]

    def __str__(self) -> str:
        run = Run(self.scenario, self.choices).play()
        said = "\n".join([*run.scheduler.trace, *run.world.violations])
        return f"{self.scenario}\n[{', '.join(map(str, self.choices))}]\n{said}"


def play(scenario: Scenario, choices: tuple[Choice, ...]) -> Failure | None:
    """Run one schedule; None where everything held."""
    run = Run(scenario, choices).play()
    return Failure(scenario, choices, tuple(run.world.violations)) if run.world.violations else None


def systematic() -> Iterator[tuple[Scenario, tuple[Choice, ...]]]:
    """Every single choice at every write of the small scenarios."""
    for scenario in SMALL:
        for at in range(1, Run(scenario).play().scheduler.writes + 1):
            for what in What:
                for seconds in WAITS if what in (What.WAIT, What.ABORT) else (0.0,):
                    yield scenario, (Choice(at, what, seconds),)


def at_random(seed: int) -> tuple[Scenario, tuple[Choice, ...]]:
    """The schedule of a seed: a scenario with a few things that happen, and up to four choices."""
    chance = random.Random(seed)

    def sometimes(share: float, low: float, high: float) -> float | None:
        return round(chance.uniform(low, high), 1) if chance.random() < share else None

    scenario = Scenario(
        bad=chance.random() < 0.2,
        abort_at=sometimes(0.35, 20, 260),
        second_at=sometimes(0.3, 5, 260),
        admin_at=sometimes(0.1, 60, 200),
        pause_at=sometimes(0.15, 30, 160),
        twice=chance.choice(["", "", "deploy", "watch 0", "watch 1", "judge 1", "promote", "promote", "exit"]),
        lost_at=sometimes(0.15, 30, 200),
        away=_away(chance),
        skew=chance.choice([0.0, 30.0]),
        approval=chance.random() < 0.1,
        diverted_at=sometimes(0.1, 60, 200),
        baseline=chance.random() < 0.3,
        scaling=chance.random() < 0.3,
        frozen=_frozen(chance),
        override_at=sometimes(0.1, 60, 600),
    )
    length = 130 + 120 * (scenario.second_at is not None)
    choices = {at: _choice(chance, at) for at in (chance.randint(1, length) for _ in range(chance.randint(0, 4)))}
    return scenario, tuple(sorted(choices.values()))


def _frozen(chance: random.Random) -> tuple[int, int] | None:
    begins = chance.randint(0, 5)
    return (begins, begins + chance.randint(6, 20)) if chance.random() < 0.3 else None


def _away(chance: random.Random) -> tuple[tuple[str, float, float], ...]:
    if chance.random() > 0.2:
        return ()
    begins = round(chance.uniform(20, 160), 1)
    return ((chance.choice(["storage", "metrics", "router", "records"]), begins, begins + chance.choice([5.0, 40.0, 100.0, 400.0])),)


def _choice(chance: random.Random, at: int) -> Choice:
    what = chance.choice([What.WAIT, What.WAIT, What.WAIT, *What])
    return Choice(at, what, chance.choice(WAITS) if what in (What.WAIT, What.ABORT) else 0.0)


def shrunk(failure: Failure) -> Failure:
    """The same kind of failure with as few choices and as quiet a scenario as possible."""
    smaller = True
    while smaller:
        smaller = False
        for scenario, choices in _smaller(failure):
            found = play(scenario, choices)
            if found:
                failure, smaller = found, True
                break
    return failure


def _smaller(failure: Failure) -> Iterator[tuple[Scenario, tuple[Choice, ...]]]:
    for index in range(len(failure.choices)):
        yield failure.scenario, (*failure.choices[:index], *failure.choices[index + 1 :])
    for one in fields(Scenario):
        if getattr(failure.scenario, one.name) != one.default:
            yield replace(failure.scenario, **{one.name: one.default}), failure.choices  # type: ignore[arg-type]
    for index, choice in enumerate(failure.choices):
        for seconds in [wait for wait in WAITS if 0 < wait < choice.seconds]:
            yield failure.scenario, (*failure.choices[:index], replace(choice, seconds=seconds), *failure.choices[index + 1 :])


def explore(seconds: float, first_seed: int = 1) -> tuple[int, list[Failure]]:
    """Explore for so long, every third schedule systematically, in an order that the seed shuffles.

    Returns how many schedules were run, and what failed.
    """
    began, count, failures = time.monotonic(), 0, []
    one_by_one = list(systematic())
    random.Random(first_seed).shuffle(one_by_one)
    seed = first_seed
    while (passed := time.monotonic() - began) < seconds and len(failures) < 5:
        if one_by_one and count % 3 == 0:
            scenario, choices = one_by_one.pop()
            if count % 2 and one_by_one:
                # Two choices of the same scenario are a pair.
                choices = tuple(sorted({c.at: c for c in (*choices, *next((c for s, c in one_by_one if s == scenario), ()))}.values()))
        else:
            scenario, choices = at_random(seed)
            seed += 1
        count += 1
        failure = play(scenario, choices)
        if failure:
            failures.append(shrunk(failure))
        if count % 500 == 0:
            print(f"{count} schedules in {passed:.0f} s, {len(failures)} violations", file=sys.stderr)
    return count, failures


def main() -> int:
    """The command line; exit code 1 where something did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.seed is not None:
        print(Failure(*at_random(options.seed), ()))
        return 0
    count, failures = explore(options.seconds, options.first_seed)
    for failure in failures:
        print(failure, end="\n\n")
    print(f"{count} schedules explored, {len(failures)} violations")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
