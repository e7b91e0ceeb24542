"""Drift: exact counts of two sets of rows, and whether, how far and where they differ. Pure: no clock, no network, no randomness."""

from tfcanary.decide.drift.comparison import compare, largest_cell_share, no_rows_reason
from tfcanary.decide.drift.comparison_result import ColumnResult, Comparison, ComparisonSettings
from tfcanary.decide.drift.counting import BatchCounter, profile
from tfcanary.decide.drift.layout import ColumnKind, Layout
from tfcanary.decide.drift.profile_bytes import from_bytes, to_bytes
from tfcanary.decide.drift.profiles import Profile, merge

__all__ = [
    "BatchCounter",
    "ColumnKind",
    "ColumnResult",
    "Comparison",
    "ComparisonSettings",
    "Layout",
    "Profile",
    "compare",
    "from_bytes",
    "largest_cell_share",
    "merge",
    "no_rows_reason",
    "profile",
    "to_bytes",
]
