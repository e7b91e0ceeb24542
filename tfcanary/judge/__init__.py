"""Decides: pure functions and pure state over what both tracks counted. docs/judge.md tells how."""

from tfcanary.judge.course import Poll
from tfcanary.judge.judging import Judge

__all__ = ["Judge", "Poll"]
