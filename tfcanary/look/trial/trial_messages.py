"""What the trial's process says of itself, where its launcher must understand it."""

from __future__ import annotations

STABLE = "trying the stable model beside it"
"""From here on, whatever happens is no fault of the candidate."""
