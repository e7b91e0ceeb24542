import json

import pytest

from tfcanary.core import codec
from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import SignatureFact, TensorFact
from tfcanary.look.savedmodel.samples import generate_requests, recipes, tensor_requests


def test_requests_are_made_up_in_the_form_that_servers_take(models):
    requests = list(generate_requests(models / "good", ValidationPlan(batches=(1, 3))))
    first = ["1 row of zeros", "1 row of random values", "3 rows of zeros", "3 rows of random values"]
    assert [one.id for one in requests] == [*first, "1 row of positive values"]
    rows = requests[3].body["inputs"]["image"]
    assert (len(rows), len(rows[0])) == (3, 64)
    assert rows[0] == requests[1].body["inputs"]["image"][0]
    assert all(-1 <= value <= 1 for row in rows for value in row)
    assert requests == list(generate_requests(models / "good", ValidationPlan(batches=(1, 3))))


def test_texts_travel_as_base64(models):
    requests = list(generate_requests(models / "words", ValidationPlan(batches=(2,))))
    assert requests[1].body == {"signature_name": "serving_default", "inputs": {"word": [{"b64": ""}, {"b64": "YQ=="}]}}
    assert codec.loads(Request, json.dumps(codec.encode(requests[1]))) == requests[1]


def test_a_model_without_the_signature_is_refused(models):
    with pytest.raises(Refused, match="has no signature 'classify'"):
        list(generate_requests(models / "good", ValidationPlan(signature="classify")))


def signature(dtype, shape):
    return SignatureFact({"x": TensorFact(dtype, shape, "x:0")}, {}, "")


@pytest.mark.parametrize(
    ("dtype", "shape", "shapes"),
    [
        ("float32", (None, 3), [(1, 3), (2, 3)]),
        ("float32", (4, 3), [(4, 3)]),
        ("float32", (), [()]),
        ("int64", None, [(1,), (2,)]),
        ("bool", (None, None), [(1, 1), (2, 1)]),
    ],
)
def test_samples_have_the_declared_shape_and_type(dtype, shape, shapes):
    made = [one.feeds["x"] for one in tensor_requests(next(recipes(signature(dtype, shape))), (1, 2)) if one.ordinary]
    assert sorted({one.shape for one in made}) == shapes
    assert {one.dtype.name for one in made} == {dtype}


def test_whole_numbers_are_also_tried_at_their_ends():
    made = [one.feeds["x"].item() for one in tensor_requests(next(recipes(signature("int8", (None,)))), (1,)) if not one.ordinary]
    assert made == [127, -128]


def test_texts_of_all_scripts_and_numbers_beyond_the_normal_are_tried_too():
    texts = [one for one in tensor_requests(next(recipes(signature("string", (None,)))), (1, 8)) if not one.ordinary]
    assert [one.what for one in texts] == ["1 row of unicode texts"]
    numbers = [one.feeds["x"] for one in tensor_requests(next(recipes(signature("float32", (None, 2)))), (1,)) if not one.ordinary]
    assert [one.tolist() for one in numbers] == [[[-1e4, 1e4]]]


def test_free_sizes_are_tried_from_small_to_large_while_they_fit_into_memory():
    assert [one.size for one in recipes(signature("float32", (None, None, None, 3)))] == [1, 8, 32, 224]
    assert [one.size for one in recipes(signature("float32", (None,) * 7))] == [1, 8]


def test_a_type_that_cannot_be_made_up_is_refused():
    with pytest.raises(Refused, match="resource"):
        next(recipes(signature("resource", (None,))))
