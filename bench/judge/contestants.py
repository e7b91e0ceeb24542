"""The judges that are compared: each a maker of fresh judges for the replay protocol of bench/judge_adapter.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from bench import judge_adapter
from bench.judge.rivals import argo, flagger, kayenta, textbook
from bench.judge.traffic import ReplaySample
from tfcanary.core.domain import Finding


class Contestant(Protocol):
    """A judge of one watch."""

    def calibrate(self, history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> None:
        """Take the history once, before the first poll: (seconds, all other stable servers, one of them)."""

    def update(self, t: float, baseline: ReplaySample, canary: ReplaySample) -> str:
        """Return the answer after a poll: continue, promote or rollback."""


@dataclass(frozen=True)
class JudgeEntry:
    """A judge with its line in the table."""

    key: str
    title: str
    make: Callable[[], Contestant]
    needs_servers: Callable[[Any], bool] = lambda judge: False
    """Whether a judge of the maker says that more canary servers are needed, or that no number of them is enough."""


class Ours(judge_adapter.JudgeAdapter):
    """Our judge, which gives reasons as well as answers."""

    def needs_servers(self) -> bool:
        """Return whether an undecided criterion names the canary servers that it needs."""
        evidence = self._judge.verdict().evidence if self._judge else ()
        return any(one.finding is Finding.INCONCLUSIVE and "canary servers" in one.reason for one in evidence)


OURS = JudgeEntry("tfcanary", "**tfcanary**", Ours, Ours.needs_servers)
RIVALS = (
    JudgeEntry("flagger", "Flagger's rule, documented limits", flagger.documented),
    JudgeEntry("flagger-tuned", "Flagger's rule, limits tuned from history", flagger.with_tuned_limits),
    JudgeEntry("argo", "Argo Rollouts' rule, documented limits", argo.documented),
    JudgeEntry("argo-tuned", "Argo Rollouts' rule, limits tuned from history", argo.with_tuned_limits),
    JudgeEntry("kayenta", "Kayenta's judge", kayenta.make),
    JudgeEntry("repeated-z", "z test at every poll", textbook.at_every_poll),
    JudgeEntry("group-sequential", "z test at six looks, O'Brien-Fleming", textbook.at_six_looks),
)
ENTRIES = {entry.key: entry for entry in (*RIVALS, OURS)}
