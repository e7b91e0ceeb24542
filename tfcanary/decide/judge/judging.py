"""The judge: polls in, verdicts out. Pure: no clock, no network, no randomness.

Made once a release and carried through all its stages and processes by its state. Called by the watch loop at every
poll, by the step during a stage and by the guard between two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tfcanary.core import codec
from tfcanary.core.domain import Decision, Sample, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import state
from tfcanary.decide.judge.calibration import calibrate
from tfcanary.decide.judge.counted_windows import Readings, read, total
from tfcanary.decide.judge.criteria import Criteria
from tfcanary.decide.judge.decision import decide, word
from tfcanary.decide.judge.stable_level import freeze
from tfcanary.decide.judge.state import SCHEMA, State
from tfcanary.decide.judge.watch_windows import Course, Poll, Window, repeats, step, too_soon


class Judge:
    """Decides about one release: hold, promote or rollback.

    Rollback is final: whatever is polled afterwards, it stays. Promote is the answer as long as every criterion
    passes; a canary that gets worse at a higher weight is held again, or rolled back.
    """

    def __init__(self, plan: JudgePlan, saved: State) -> None:
        _refuse_unsound(plan)
        self._plan = plan
        self._state = replace(saved, windows=())
        self._windows = list(saved.windows)
        self._encoded: list[str] = []
        self._criteria = self._replayed()
        self._word: Decision | None = None
        self._verdict: Verdict | None = None

    @classmethod
    def begin(cls, plan: JudgePlan, release: str, history: Iterable[tuple[float, Sample]] = ()) -> Judge:
        """A judge for a release that has had no canary traffic yet.

        Args:
            plan: Its fields are the judge's constants.
            release: Its run id: no other release can go on with this state.
            history: Seconds and sample of stable, oldest first, for two hours: what noise is normal here, and stable's level.

        Raises Refused where the plan's tolerances and margins contradict each other.
        """
        calibration, frozen = calibrate(history, plan)
        return cls(plan, State(SCHEMA, release, codec.digest(plan), calibration, frozen, Course()))

    @classmethod
    def resume(cls, text: str, release: str, plan: JudgePlan) -> Judge:
        """The judge whose `dumps` this is. Raises Refused where it is of another schema, release or plan."""
        return cls(plan, state.loads(text, release, plan))

    def dumps(self) -> str:
        """All that `resume` needs, as JSON; the resumed judge answers every later poll bit for bit alike."""
        self._encoded += [codec.dumps(window) for window in self._windows[len(self._encoded) :]]
        return state.dumps(self._state, self._encoded)

    def verdict(self) -> Verdict:
        """What is to be said after the polls so far; hold before the first one."""
        if self._verdict is None:
            known = self._state
            self._verdict = decide(self._plan, known.course, known.frozen, known.calibration, self._criteria)
            self._word = self._verdict.decision
        return self._verdict

    def poll(self, poll: Poll) -> Verdict:
        """Judge one look at both tracks. Nothing that a sample holds raises; a poll delivered twice counts once."""
        self._hear(poll)
        return self.verdict()

    def decide(self, poll: Poll) -> Decision:
        """The decision of `poll` alone, for replays of many watches: reasons and intervals are two thirds of the work."""
        self._hear(poll)
        return self._decision()

    def _hear(self, poll: Poll) -> None:
        if self._decision() is Decision.ROLLBACK or repeats(self._state.course, poll) or too_soon(self._state.course, poll):
            return
        course, window = step(self._state.course, poll, self._plan, frozen=self._state.frozen is not None)
        self._state = replace(self._state, course=course)
        if window is not None:
            self._add(window)
        readings = read(poll.stable)
        if self._state.frozen is None and readings is not None:
            self._freeze(readings)
        self._word = self._verdict = None

    def _add(self, window: Window) -> None:
        self._windows.append(window)
        self._criteria.add(window)

    def _freeze(self, readings: Readings) -> None:
        """Take stable's level where it holds enough; the windows so far count in it for outage and traffic only."""
        frozen = freeze(total(readings), self._plan)
        if frozen is not None:
            self._state = replace(self._state, frozen=frozen)
            self._criteria = self._replayed()

    def _decision(self) -> Decision:
        if self._word is None:
            self._word = word(self._plan, self._state.course, self._state.frozen, self._criteria)
        return self._word

    def _replayed(self) -> Criteria:
        criteria = Criteria(self._plan, self._state.frozen, self._state.calibration)
        for window in self._windows:
            criteria.add(window)
        return criteria


def _refuse_unsound(plan: JudgePlan) -> None:
    """Between a tolerance and its margin there must be room, else one canary is both to be rolled back and promoted."""
    pairs = {"errors": plan.errors, "quality": plan.quality, "latency": plan.latency}
    for name, part in pairs.items():
        if part is not None and not 0 <= part.tolerance < part.margin:
            raise Refused(
                f"judge.{name}: tolerance {part.tolerance}, margin {part.margin}: must not be negative, the tolerance below the margin"
            )
