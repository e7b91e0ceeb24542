"""A file that a person writes is read once, by one loader, and what is wrong with it is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcanary.core.documents import read_document
from tfcanary.core.errors import Refused


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("weights: [5\nstage: 3\n", "not YAML: line 2, column 6: expected ',' or ']', but got ':'"),
        (
            "weights: [5]\nstage: {poll: 5s}\nweights: [10]\n",
            "not YAML: line 3, column 1: the key 'weights' is there twice, first in line 1",
        ),
        ("stage:\n  poll: 5s\n  poll: 6s\n", "not YAML: line 3, column 3: the key 'poll' is there twice, first in line 2"),
        ('{"bootstrap": true, "bootstrap": false}', "not YAML: line 1, column 21: the key 'bootstrap' is there twice, first in line 1"),
        ("a:\n\tb: 1\n", "not YAML: line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: \x00", "not YAML: unacceptable character #x0000: special characters are not allowed"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        read_document(path)
    assert str(refused.value) == f"{path}: {sentence}"


def test_a_key_may_be_overridden_where_yaml_says_so(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\n")
    assert read_document(path) == {"one": {"a": 1, "b": 2}, "two": {"a": 1, "b": 3}}


def test_what_cannot_be_read_is_named_once_and_without_a_number(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        read_document(tmp_path / "none.yaml")
    assert str(refused.value) == f"{tmp_path}/none.yaml: cannot be read (No such file or directory)"
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(Refused, match=r"latin\.yaml: is no text in UTF-8 \(.* at byte 3\)"):
        read_document(tmp_path / "latin.yaml")
