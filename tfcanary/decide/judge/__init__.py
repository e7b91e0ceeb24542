"""The judge: pure functions and a pure state over what both tracks counted. docs/judge.md explains how it decides."""

from tfcanary.decide.judge.judging import Judge
from tfcanary.decide.judge.watch_windows import Poll, Window

__all__ = ["Judge", "Poll", "Window"]
