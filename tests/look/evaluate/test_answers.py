"""What an answer says, for every form in which TF Serving's REST interface gives one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcanary.look.evaluate.answers import Kind, choose_reading, matches, numbers, rows

NAN = float("nan")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"predictions": [[0.1, 0.9], [0.8, 0.2]]}, [{"": [0.1, 0.9]}, {"": [0.8, 0.2]}]),
        ({"predictions": [{"a": 1, "b": "x"}]}, [{"a": 1, "b": "x"}]),
        ({"predictions": [{"b64": "AA=="}]}, [{"": {"b64": "AA=="}}]),
        ({"outputs": [[0.1], [0.2]]}, [{"": [0.1]}, {"": [0.2]}]),
        ({"outputs": {"a": [1, 2], "b": [[3.0], [4.0]]}}, [{"a": 1, "b": [3.0]}, {"a": 2, "b": [4.0]}]),
        ({"outputs": {"a": [1, 2], "b": 3.0}}, [{"a": [1, 2], "b": 3.0}]),  # a scalar belongs to no row
        ({"outputs": 3.0}, [{"": 3.0}]),
        ({"predictions": []}, []),
        ({"predictions": 3.0}, None),
        ({"error": "no"}, None),
    ],
)
def test_an_answer_falls_into_rows(body, expected):
    assert rows(body) == expected


@pytest.mark.parametrize(
    ("row", "label", "output", "kind", "says"),
    [
        ({"": [0.1, 0.7, 0.2]}, None, "", Kind.CLASSES, 1),
        ({"": [-3.0, 7.5]}, None, "", Kind.CLASSES, 1),
        ({"": [[0.1, 0.9], [0.6, 0.4]]}, None, "", Kind.CLASSES, (1, 0)),  # a class each position
        ({"": 3}, None, "", Kind.LABELS, 3),
        ({"": ["setosa"]}, None, "", Kind.LABELS, "setosa"),
        ({"": {"b64": "AA=="}}, None, "", Kind.LABELS, "AA=="),
        ({"": [3, 1]}, None, "", Kind.LABELS, (3, 1)),
        ({"": True}, None, "", Kind.LABELS, 1),
        ({"": [0.93]}, None, "", Kind.SCORES, 1),
        ({"": 0.2}, None, "", Kind.SCORES, 0),
        ({"logits": [2.0, 1.0], "shares": [0.2, 0.8]}, None, "shares", Kind.CLASSES, 1),
        ({"a_label": "x", "logits": [2.0, 1.0]}, None, "logits", Kind.CLASSES, 0),
        ({"a_label": "x", "logits": [2.0, 1.0]}, "y", "a_label", Kind.LABELS, "x"),
        ({"id": 7, "score": 0.2}, None, "id", Kind.LABELS, 7),
        ({"": None}, None, "", Kind.LABELS, None),
        ({"": []}, None, "", Kind.SCORES, None),
        ({}, None, "", Kind.LABELS, None),
    ],
)
def test_a_row_says_its_class(row, label, output, kind, says):
    read = choose_reading(row, label)
    assert (read.output, read.kind, read.of(row)) == (output, kind, says)


@pytest.mark.parametrize("value", [[NAN, 0.5], [0.5, None], [float("inf"), 0.0], "text", [0.1, [0.2]], None, {"b64": 1}])
def test_what_is_no_number_says_nothing(value):
    assert choose_reading({"": [0.1, 0.9]}).of({"": value}) is None


def test_null_reads_as_nan_and_text_as_no_number():
    assert np.isnan(numbers([1.0, None])).tolist() == [False, True]
    assert numbers(["1.0"]) is None
    assert numbers([10**400]) is None


@pytest.mark.parametrize(("said", "label"), [(2, 2), (2, 2.0), (2, "2"), ("setosa", "setosa"), ("2", 2)])
def test_a_label_matches_however_it_is_written(said, label):
    assert matches(said, label)


@pytest.mark.parametrize(("said", "label"), [(2, 3), (None, "None"), ("setosa", 0), (2, 2.5)])
def test_other_labels_do_not_match(said, label):
    assert not matches(said, label)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["b64", "a", "b", ""]), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["predictions", "outputs", "error"]), JSON), JSON)
def test_no_answer_raises(body, other):
    for row in rows(body) or []:
        read = choose_reading(row)
        read.of(row)
        read.of({read.output: other})
        numbers(other)


def test_deep_nesting_says_nothing():
    deep = json.loads("[" * 500 + "1.0, 2.0" + "]" * 500)
    assert choose_reading({"": deep}).of({"": deep}) is None
