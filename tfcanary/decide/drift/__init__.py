"""Drift: exact counts of two sets of rows, and whether, how far and where they differ. Pure: no clock, network or randomness."""

from tfcanary.decide.drift.comparison import UNREAD, coarsest, compare, no_rows
from tfcanary.decide.drift.comparison_result import ColumnFound, Comparison, Settings, Share, Test
from tfcanary.decide.drift.counting import Counting, profile
from tfcanary.decide.drift.layout import Column, Kind, Layout
from tfcanary.decide.drift.profile_bytes import from_bytes, to_bytes
from tfcanary.decide.drift.profiles import Profile, merge

__all__ = [
    "UNREAD",
    "Column",
    "ColumnFound",
    "Comparison",
    "Counting",
    "Kind",
    "Layout",
    "Profile",
    "Settings",
    "Share",
    "Test",
    "coarsest",
    "compare",
    "from_bytes",
    "merge",
    "no_rows",
    "profile",
    "to_bytes",
]
