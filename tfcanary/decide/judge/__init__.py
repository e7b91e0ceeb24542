"""Decides: pure functions and pure state over what both tracks counted. docs/judge.md tells how."""

from tfcanary.decide.judge.judging import Judge
from tfcanary.decide.judge.watch_windows import Poll

__all__ = ["Judge", "Poll"]
