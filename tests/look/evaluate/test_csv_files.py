"""CSV files are read as people and programs write them, and what a column holds does not depend on where a block or a file ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import Profile, compare
from tfcanary.decide.drift.layout import ColumnKind
from tfcanary.look.evaluate.sources import count, csv_files, pieces

ROWS = [("A", 93.21, 'said "yes", twice'), ("B", 91.64, "two\nlines"), ("A", 104.77, "größer; than"), ("C", 86.68, "")] * 50


def text(separator: str = ",", comma: bool = False, end: str = "\n") -> str:
    import csv
    import io

    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    writer.writerow(["id", "amount", "note"])
    writer.writerows([name, str(amount).replace(".", ",") if comma else amount, note] for name, amount, note in ROWS)
    return out.getvalue()


def profile(path: Path, content: str | bytes) -> Profile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return count(pieces(path))


def kind(profile: Profile, name: str) -> ColumnKind:
    found = profile.of(name)
    assert found is not None, name
    return found.column.kind


@pytest.mark.parametrize(
    "content",
    [
        text().encode("utf-8-sig"),
        text(end="\r\n").encode(),
        text(";").encode(),
        text(";", comma=True, end="\r\n").encode("utf-8-sig"),
        ("sep=;\r\n" + text(";", end="\r\n")).encode(),
        text("\t").encode(),
        text("|").encode(),
        text("\t").encode("utf-16"),
        text().replace("A,", "\nA,").encode(),
        text().rstrip("\n").encode(),
    ],
    ids=["mark", "crlf", "semicolons", "decimal comma", "sep line", "tabs", "bars", "utf-16", "blank lines", "no last line feed"],
)
def test_however_a_table_is_written_it_has_the_same_rows(tmp_path: Path, content: bytes) -> None:
    plain, other = profile(tmp_path / "plain.csv", text()), profile(tmp_path / "other.csv", content)
    assert other.rows == len(ROWS)
    assert {one.column.name: one.counts.tolist() for one in other.tallies} == {
        one.column.name: one.counts.tolist() for one in plain.tallies
    }
    assert kind(other, "amount") is ColumnKind.NUMBER


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cr.csv", text(end="\r"), r"cr.csv: its lines end in a carriage return alone; write a line feed"),
        ("blanks.csv", "age city price\n" + "18 Bonn 100.76\n" * 30, "its columns seem to be divided by blanks; write commas"),
        ("ragged.csv", "a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("twice.csv", "a,a\n1,2\n", "column 'a' occurs twice"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        profile(tmp_path / name, content)


def test_a_column_without_a_name_is_a_column(tmp_path: Path) -> None:
    before = profile(tmp_path / "before.csv", ",city\n" + "".join(f"{18 + i % 42},Oslo\n" for i in range(2_000)))
    (tmp_path / "now.csv").write_text(",city\n" + "".join(f"{48 + i % 42},Oslo\n" for i in range(2_000)))
    now = count(pieces(tmp_path / "now.csv"), before.layout)
    assert [(one.name, one.finding.value) for one in compare(before, now).columns] == [("(column 1)", "fail"), ("city", "pass")]


LATE = [
    ("empty, then numbers", ["", "4"], ColumnKind.NUMBER),
    ("empty, then text", ["", "b"], ColumnKind.CATEGORY),
    ("whole, then fractions", ["1", "1.5"], ColumnKind.NUMBER),
    ("dates, then times", ["2026-01-15", "2026-01-15 10:00:00"], ColumnKind.TIME),
    ("times, then nanoseconds", ["2026-01-15 10:00:00", "2026-01-15 10:00:00.123456789"], ColumnKind.TIME),
    ("true, then a word", ["true", "unknown"], ColumnKind.CATEGORY),
    ("numbers, then a word", ["1", "error"], ColumnKind.CATEGORY),
    ("numbers, then a missing value", ["1", "NA"], ColumnKind.NUMBER),
    ("clock times", ["10:00:00", "11:30:00.5"], ColumnKind.NUMBER),
]


@pytest.mark.parametrize(("first", "last", "expected"), [(*values, kind) for _, values, kind in LATE], ids=[name for name, *_ in LATE])
def test_a_column_holds_the_same_wherever_a_block_or_a_file_ends(
    tmp_path: Path, first: str, last: str, expected: ColumnKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK", 4_096)
    many = [f"{i},{first}" for i in range(5_000)]
    whole = profile(tmp_path / "whole.csv", "\n".join(["i,v", *many, f"9999,{last}", ""]))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.csv").write_text("\n".join(["i,v", *many, ""]))
    (folder / "b.csv").write_text(f"i,v\n9999,{last}\n")
    both = count(pieces(folder))
    assert kind(whole, "v") is kind(both, "v") is expected
    assert (whole.rows, both.rows) == (5_001, 5_001)


def test_digits_behind_a_leading_zero_are_a_name(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(1_000, 99_999, 2_000)
    padded = profile(tmp_path / "padded.csv", "zip\n" + "".join(f"{code:05}\n" for code in codes))
    stripped = profile(tmp_path / "stripped.csv", "zip\n" + "".join(f"{code}\n" for code in codes))
    assert kind(padded, "zip") is ColumnKind.CATEGORY
    (column,) = compare(padded, stripped).columns
    assert column.reason == "holds number values where the reference has category values"


def test_a_missing_value_is_null_whether_it_is_quoted_or_not(tmp_path: Path) -> None:
    counted = profile(tmp_path / "x.csv", 'a,b\n1,\n2,""\n3,text\n')
    found = counted.of("b")
    assert found is not None
    assert found.nulls == 2
