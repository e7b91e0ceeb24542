"""Answered requests from the local server's log: one client's request never hides the others."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfcanary.adapters.serving.answer_log import record_batches
from tfcanary.core.errors import Refused

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def log(folder: Path, *exchanges: tuple[Any, Any, int], name: str = "0001.parquet") -> Path:
    """A log with a request a second from noon: request, response and status."""
    texts = [(one if isinstance(one, str) else json.dumps(one), json.dumps(other), status) for one, other, status in exchanges]
    table = {
        "at": pa.array([NOON + timedelta(seconds=number) for number in range(len(texts))], pa.timestamp("us", "UTC")),
        "id": [f"r{number}" for number in range(len(texts))],
        "request": [one[0] for one in texts],
        "response": [one[1] for one in texts],
        "status": [one[2] for one in texts],
    }
    pq.write_table(pa.table(table), folder / name)
    return folder


def rows(folder: Path, since: datetime = NOON, until: datetime = NOON + DAY) -> list[dict[str, Any]]:
    return [row for batch in record_batches(folder, since, until) for row in batch.to_pylist()]


ROW = ({"instances": [[1.0, 2.0]]}, {"predictions": [[0.2, 0.8]]}, 200)
AS_ROW = {"input.value": [1.0, 2.0], "output.value": [0.2, 0.8]}


def test_each_row_of_a_request_is_a_row_with_its_answer(tmp_path: Path) -> None:
    two = ({"instances": [[1, 2], [3, 4]]}, {"predictions": [[0.1], [0.2]]}, 200)
    failed = ({"inputs": {"value": [[5, 6]]}}, {"error": "no"}, 503)
    assert rows(log(tmp_path, two, failed)) == [
        {"id": None, "input.value": [1, 2], "output.value": [0.1]},
        {"id": None, "input.value": [3, 4], "output.value": [0.2]},
        {"id": "r1", "input.value": [5, 6], "output.value": None},
    ]


def test_only_the_requests_of_the_window_are_read(tmp_path: Path) -> None:
    folder = log(tmp_path, *[ROW] * 10)
    assert [row["id"] for row in rows(folder, NOON + timedelta(seconds=3), NOON + timedelta(seconds=5))] == ["r3", "r4"]
    assert rows(folder, NOON - DAY, NOON) == []


BY_OTHERS: dict[str, tuple[Any, Any, int]] = {
    "a text where numbers are": ({"instances": [["abc", "1"]]}, {"error": "not a float"}, 400),
    "one text among numbers": ({"instances": [[1.0, "1"]]}, {"error": "not a float"}, 400),
    "another shape": ({"instances": [1.0]}, {"error": "x"}, 400),
    "an object": ({"instances": [{"value": {"x": 1}}]}, {"error": "x"}, 400),
    "a number as a column": ({"inputs": 5.0}, {"error": "x"}, 400),
    "scalars beside rows": ({"inputs": {"left": [[1, 2]], "dropout": 1.0, "train": False}}, {"outputs": [[0.2, 0.8]]}, 200),
    "a scalar for an answer": ({"inputs": [[1.0, 2.0]]}, {"outputs": 3.0}, 200),
    "a number as a body": (5, {"error": "x"}, 400),
    "null as a body": ("null", {"error": "x"}, 400),
    "no JSON": ("{", {"error": "x"}, 400),
    "a shape with a zero": ({"inputs": [{"name": "value", "shape": [0, 2], "datatype": "FP32", "data": [1, 2]}]}, {"error": "x"}, 400),
    "a shape of texts": ({"inputs": [{"name": "value", "shape": ["-1", 2], "datatype": "FP32", "data": [1, 2]}]}, {"error": "x"}, 400),
    "an integer beyond 64 bits": ({"instances": [[2**70, 1]]}, {"error": "x"}, 400),
    "half a character": ('{"instances": [{"value": "\\ud800"}]}', {"error": "x"}, 400),
    "half a character as a name": ('{"instances": [{"\\ud800": 1}]}', {"error": "x"}, 400),
    "more answers than rows": ({"instances": [[1.0, 2.0]]}, {"predictions": [[1], [2]]}, 200),
}


@pytest.mark.parametrize("odd", BY_OTHERS)
def test_a_request_that_does_not_fit_is_dropped_counted_and_hides_no_other(
    tmp_path: Path, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = rows(log(tmp_path, *[ROW] * 5, BY_OTHERS[odd], *[ROW] * 4))
    assert found == [{"id": f"r{number}", **AS_ROW} for number in (0, 1, 2, 3, 4, 6, 7, 8, 9)]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/0001.parquet: 1 of 10 requests do not fit with the others and are dropped"
    ]


def test_what_differs_only_in_how_it_is_written_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whole numbers among fractions, large ones, empty lists and missing values."""
    values = [[1, 2], [1.5, 2**60], [], [None, 1.0]]
    odd = ({"instances": ["text"]}, {"error": "x"}, 400)
    found = rows(log(tmp_path, *[({"instances": [value]}, {"error": "x"}, 503) for value in values], odd))
    assert [row["input.value"] for row in found] == values
    assert "1 of 5 requests" in caplog.text


def test_a_log_of_which_nothing_fits_has_no_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert rows(log(tmp_path, *[BY_OTHERS["scalars beside rows"]] * 3)) == []
    assert "3 of 3 requests" in caplog.text


def test_what_is_no_log_is_refused_by_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "0002.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(Refused, match=r"0002\.parquet: cannot be read as a request log"):
        rows(log(tmp_path, ROW))
