"""Times in sentences are written as a plan writes them, so that a reader finds them there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tfcanary.core import codec
from tfcanary.core.durations import written
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan


@pytest.mark.parametrize("text", ["500ms", "10s", "90s", "5m", "90m", "2h", "7d", "0s", "1500ms"])
def test_a_time_is_written_as_it_was_read(text: str) -> None:
    time: timedelta = codec.decode(timedelta, text)
    assert written(time) == text


def test_sentences_about_stage_times_have_the_plan_s_units() -> None:
    with pytest.raises(Refused, match=r"poll 10s, minimum 2h, maximum 30m: must be positive and rise in this order"):
        codec.decode(Plan, {"stage": {"minimum": "2h", "maximum": "30m"}})
