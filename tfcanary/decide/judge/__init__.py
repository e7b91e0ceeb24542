"""Decides: pure functions and pure state over what both tracks counted. docs/judge.md tells how."""

from tfcanary.decide.judge.course import Poll
from tfcanary.decide.judge.judging import Judge

__all__ = ["Judge", "Poll"]
