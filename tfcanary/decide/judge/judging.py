"""The judge: polls in, verdicts out. Pure: no clock, no network, no randomness.

One judge serves one release. Its state carries it through all stages and processes. The watch loop calls it at every poll, both in
the step of a stage and in the guard between two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tfcanary.core import codec
from tfcanary.core.domain import Decision, Sample, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import state
from tfcanary.decide.judge.calibration import calibrate
from tfcanary.decide.judge.counted_windows import TrackCounts, read, total
from tfcanary.decide.judge.criteria import Criteria
from tfcanary.decide.judge.decision import decide, decide_only
from tfcanary.decide.judge.stable_level import freeze
from tfcanary.decide.judge.state import SCHEMA, JudgeState
from tfcanary.decide.judge.watch_windows import Course, Poll, Window, is_repeat, is_too_soon, read_baseline, take_poll


class Judge:
    """Decides about one release after each poll: hold, promote or rollback.

    A rollback is final, whatever is polled afterwards. Promote is the answer as long as every criterion passes: a canary that gets worse
    at a higher weight is held again, or rolled back.
    """

    def __init__(self, plan: JudgePlan, saved: JudgeState) -> None:
        _refuse_unsound(plan)
        self._plan = plan
        self._state = replace(saved, windows=())
        self._windows = list(saved.windows)
        self._criteria = self._criteria_of_windows()
        self._decision: Decision | None = None
        self._verdict: Verdict | None = None

    @classmethod
    def begin(cls, plan: JudgePlan, release: str, history: Iterable[tuple[float, Sample]] = ()) -> Judge:
        """Return a judge for a release that has had no canary traffic yet.

        Args:
            plan: Its fields are the judge's constants.
            release: The run id of the release; no other release can resume this state.
            history: Seconds and samples of stable over two hours, oldest first. The judge takes stable's level and its noise from them.

        Raises Refused where the plan's tolerances and margins contradict each other.
        """
        calibration, stable_level = calibrate(history, plan)
        return cls(plan, JudgeState(SCHEMA, release, codec.digest(plan), calibration, stable_level, Course()))

    @classmethod
    def resume(cls, text: str, release: str, plan: JudgePlan, beside: Sequence[Window] = ()) -> Judge:
        """Return the judge that wrote `text` by `dumps`, which left out the windows `beside`.

        Raises Refused where the state is of another schema, release or plan, or where windows are missing.
        """
        return cls(plan, state.loads(text, release, plan, beside))

    def dumps(self, beside: int = 0) -> str:
        """Return the state as JSON, all that `resume` needs; the resumed judge answers every later poll bit for bit alike.

        The first `beside` windows are left out: whoever keeps the text keeps these, too.
        """
        return codec.dumps(replace(self._state, windows=tuple(self._windows[beside:]), beside=beside))

    def windows(self, since: int = 0) -> tuple[Window, ...]:
        """Return the windows that were closed so far, without the first `since`."""
        return tuple(self._windows[since:])

    def verdict(self) -> Verdict:
        """Return the verdict after the polls so far; it is hold before the first poll."""
        if self._verdict is None:
            state_now = self._state
            self._verdict = decide(self._plan, state_now.course, state_now.frozen, state_now.calibration, self._criteria)
            self._decision = self._verdict.decision
        return self._verdict

    def poll(self, poll: Poll) -> Verdict:
        """Take one poll of both tracks and return the verdict after it.

        No value in a sample raises an exception. A poll that is delivered twice counts once.
        """
        self._take(poll)
        return self.verdict()

    def decide(self, poll: Poll) -> Decision:
        """Take one poll and return the decision alone, which skips reasons and intervals: two thirds of the work of `poll`."""
        self._take(poll)
        return self._current_decision()

    def _take(self, poll: Poll) -> None:
        course = self._state.course
        if self._current_decision() is Decision.ROLLBACK or is_repeat(course, poll) or is_too_soon(course, poll):
            return
        course, window = take_poll(course, poll, self._plan, frozen=self._state.frozen is not None)
        self._state = replace(self._state, course=course)
        if window is not None:
            self._windows.append(window)
            self._criteria.add(window)
        readings = read(poll.stable)
        if self._state.frozen is None and readings is not None:
            # At 50 % all requests of the stable version may be the baseline's.
            self._freeze(total(readings).plus(total(read_baseline(poll))))
        self._decision = self._verdict = None

    def _freeze(self, counted: TrackCounts) -> None:
        """Take stable's level where it has answered enough; the windows so far count in the rows of outage and traffic only."""
        stable_level = freeze(counted, self._plan)
        if stable_level is not None:
            self._state = replace(self._state, frozen=stable_level)
            self._criteria = self._criteria_of_windows()

    def _current_decision(self) -> Decision:
        if self._decision is None:
            self._decision = decide_only(self._plan, self._state.course, self._state.frozen, self._criteria)
        return self._decision

    def _criteria_of_windows(self) -> Criteria:
        criteria = Criteria(self._plan, self._state.frozen, self._state.calibration)
        for window in self._windows:
            criteria.add(window)
        return criteria


def _refuse_unsound(plan: JudgePlan) -> None:
    """A tolerance must lie below its margin, or else one canary would have to be rolled back and promoted."""
    pairs = {"errors": plan.errors, "quality": plan.quality, "latency": plan.latency}
    for name, part in pairs.items():
        if part is not None and not 0 <= part.tolerance < part.margin:
            raise Refused(
                f"judge.{name}: tolerance {part.tolerance}, margin {part.margin}: must not be negative, the tolerance below the margin"
            )
