"""The name of the activity that the gate recognizes in the progress of the trial's process."""

from __future__ import annotations

STABLE = "trying the stable model beside it"
"""The activity after which no event is the candidate's fault."""
