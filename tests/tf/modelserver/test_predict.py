"""REST predict, word for word as TF Serving answers."""

from __future__ import annotations

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tf.modelserver.served import Running


def test_one_output_stands_without_its_name(server: Running) -> None:
    reply = server.predict("half", {"instances": [1.0, 2.0, 5.0]})
    assert (reply.status, reply.json) == (200, {"predictions": [3.5, 4.0, 5.5]})
    assert reply.headers["content-type"] == "application/json"


def test_the_two_versions_differ_and_the_highest_is_the_default(server: Running) -> None:
    body = {"instances": [2.0]}
    assert server.predict("half/versions/1", body).json == {"predictions": [3.0]}
    assert server.predict("half/versions/2", body).json == {"predictions": [4.0]}
    assert server.predict("half", body).json == {"predictions": [4.0]}


def test_labels_name_versions(server: Running) -> None:
    assert server.predict("half/labels/stable", {"instances": [2.0]}).json == {"predictions": [3.0]}
    assert server.predict("half/labels/canary", {"instances": [2.0]}).json == {"predictions": [4.0]}


def test_several_outputs_are_objects(server: Running) -> None:
    rows = {"instances": [{"a": [1, 2], "b": 3}, {"a": [0.5, 0.25], "b": -1}]}
    assert server.predict("pair", rows).json == {"predictions": [{"sum": 6.0, "twice": 6}, {"sum": -0.25, "twice": -2}]}
    columns = {"inputs": {"a": [[1, 2], [0.5, 0.25]], "b": [3, -1], "ignored": "x"}}
    assert server.predict("pair", columns).json == {"outputs": {"sum": [6.0, -0.25], "twice": [6, -2]}}


def test_a_named_input_may_be_given_as_an_object(server: Running) -> None:
    assert server.predict("half", {"instances": [{"x": 2.0}, {"x": 4.0}]}).json == {"predictions": [4.0, 5.0]}
    assert server.predict("half", {"inputs": {"x": [2.0]}}).json == {"outputs": [4.0]}


def test_text_is_text_and_an_alias_that_ends_in_bytes_is_base64(server: Running) -> None:
    reply = server.predict("words", {"instances": ["été", {"b64": "//4="}, "b"]})
    assert reply.json == {
        "predictions": [
            {"same_bytes": {"b64": "w6l0w6k="}, "upper": "éTé"},
            {"same_bytes": {"b64": "//4="}, "upper": "\ufffd\ufffd"},
            {"same_bytes": {"b64": "Yg=="}, "upper": "B"},
        ]
    }


def test_another_signature_may_be_named(server: Running) -> None:
    assert server.predict("strict", {"signature_name": "total", "inputs": [1, 2, 3]}).json == {"outputs": 6.0}


def test_numbers_that_are_none_are_answered_as_bare_words(server: Running) -> None:
    reply = server.predict("log", {"instances": [1, 0, -1]})
    assert reply.text == '{"predictions":[0.0,-Infinity,NaN]}'


def test_a_number_has_no_more_digits_than_it_needs(server: Running) -> None:
    assert server.predict("half", {"instances": [0.2, 0.0]}).text == '{"predictions":[3.1,3.0]}'
    assert server.predict("log", {"instances": [3.0, 0.0]}).text == '{"predictions":[1.0986123,-Infinity]}'


def test_the_parser_takes_what_rapidjson_takes(server: Running) -> None:
    assert server.predict("half", b'{"instances": [Infinity, 1]} and more').text == '{"predictions":[Infinity,3.5]}'
    assert server.predict("half", b'\xef\xbb\xbf  {"instances": [1]}').json == {"predictions": [3.5]}


def test_a_request_may_be_compressed(server: Running) -> None:
    body = gzip.compress(json.dumps({"instances": [1.0]}).encode())
    assert server.predict("half", body, **{"content-encoding": "gzip"}).json == {"predictions": [3.5]}


def test_a_large_batch_is_answered_too(server: Running) -> None:
    values = [float(number) for number in range(50_000)]
    assert server.predict("half", {"instances": values}).json["predictions"] == [value / 2 + 3 for value in values]


def test_assets_and_the_initialization_are_there(server: Running) -> None:
    assert server.predict("table", {"instances": ["two", "none"]}).json == {"predictions": [2, -1]}


ROW = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "
REFUSED = [
    ("half", {}, "Missing 'inputs' or 'instances' key"),
    ("half", [], "JSON Value: [] Is not object"),
    ("half", b"", "JSON Parse error: The document is empty"),
    ("half", {"instances": []}, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
    ("half", {"instances": 1}, "JSON Value: {\n    \"instances\": 1\n} Excepting 'instances' to be an list/array"),
    ("half", {"instances": [1, "x"]}, ROW.format(1) + 'JSON Value: "x" Type: String is not of expected type: float'),
    ("half", {"instances": [True]}, ROW.format(0) + "JSON Value: true Type: True is not of expected type: float"),
    ("half", {"instances": [[1, 2], [3]]}, ROW.format(1) + "Expecting tensor size: 2 but got: 1"),
    ("half", {"instances": [[[1, 2]], [[1], [2]]]}, ROW.format(1) + "Expecting shape [1,2] but got: [2,1]"),
    ("half", {"inputs": [[1, 2], [3]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ("half", {"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ("half", {"inputs": [[1], 2]}, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ("half", {"instances": [1, {"x": 1}]}, "Expecting value/list but got object at item 1 of input list"),
    ("half", {"instances": [{"x": 1}, 1]}, "Expecting object but got list at item 1 of input list"),
    ("half", {"signature_name": "nix", "instances": [1]}, 'Serving signature name: "nix" not found in signature def'),
    ("pair", {"inputs": {"a": [[1, 2]]}}, "Missing named input: b in 'inputs' object."),
    (
        "pair",
        {"inputs": [1]},
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map",
    ),
    (
        "pair",
        {"instances": [1]},
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map",
    ),
    (
        "pair",
        {"instances": [{"a": [1, 2]}]},
        "Failed to process element: 0 of 'instances' list. "
        'JSON object: {\n    "a": [\n        1,\n        2\n    ]\n} keys must be equal to: a,b',
    ),
    (
        "pair",
        {"instances": [{"a": [1, 2], "b": 1.0}]},
        "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: "
        "JSON Value: 1.0 Type: Number is not of expected type: int64",
    ),
    (
        "pair",
        {"instances": [{"a": [1, 2], "c": 1}]},
        "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: c",
    ),
    ("words", {"instances": [1]}, ROW.format(0) + "JSON Value: 1 Type: Number is not of expected type: string"),
    ("words", {"instances": [{"b64": "?"}]}, ROW.format(0) + "Unable to base64 decode"),
    ("words", {"inputs": {"word": {"b65": "YQ=="}}}, 'JSON Value: {\n    "b65": "YQ=="\n} not formatted correctly for base64 data'),
    ("strict", {"signature_name": "total", "instances": [1, 2]}, "Tensor name: total has no shape information "),
    ("slow", {"instances": [5_000_000_000]}, ROW.format(0) + "JSON Value: 5000000000 Type: Number is not of expected type: int32"),
]


@pytest.mark.parametrize(("model", "body", "message"), REFUSED)
def test_what_is_wrong_is_said_in_the_originals_words(server: Running, model: str, body: object, message: str) -> None:
    reply = server.predict(model, body)
    assert (reply.status, reply.error) == (400, message)


def test_both_forms_at_once_are_refused(server: Running) -> None:
    reply = server.predict("half", {"instances": [1], "inputs": [1]})
    assert reply.status == 400
    assert reply.error.endswith("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")


def test_a_failing_graph_answers_with_its_own_sentence(server: Running) -> None:
    assert server.predict("strict", {"instances": [4.0]}).json == {"predictions": [2.0]}
    reply = server.predict("strict", {"instances": [4.0, -1.0]})
    assert reply.status == 400
    assert reply.error.startswith("assertion failed: [negative.")


def test_a_request_that_takes_too_long_is_given_up(server: Running) -> None:
    reply = server.predict("slow", {"instances": [10_000]})
    assert (reply.status, reply.error) == (504, "Timed out waiting for notification")


def test_status_is_answered_while_a_model_computes(server: Running) -> None:
    for _ in range(6):
        server.predict("slow", {"instances": [20]})  # from now on it is known to be slow
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(server.predict, "slow", {"instances": [1900]})
        time.sleep(0.3)
        assert {server.get("/v1/models/slow").status for _ in range(5)} == {200}
        time.sleep(0.2)  # in which an answer that went out before those would have arrived
        assert not answer.done()
        assert answer.result().status == 200


def test_the_model_is_looked_up_before_its_inputs_are_read(server: Running) -> None:
    reply = server.predict("nix", {})
    assert (reply.status, reply.error) == (404, "Servable not found for request: Latest(nix)")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nix", 404, "Servable not found for request: Latest(nix)"),
        ("half/versions/7", 404, "Servable not found for request: Specific(half, 7)"),
        ("half/labels/nix", 400, "Unrecognized servable version label: nix"),
        ("half/labels/gone", 404, "Servable not found for request: Specific(half, 9)"),
        ("half/versions/9999999999999999999", 400, "Failed to convert version: 9999999999999999999 to numeric."),
    ],
)
def test_what_does_not_serve_is_not_found(server: Running, path: str, status: int, message: str) -> None:
    reply = server.predict(path, {"instances": [1]})
    assert (reply.status, reply.error) == (status, message)


def test_an_error_is_an_object_in_the_originals_spelling(server: Running) -> None:
    assert server.predict("nix", {"instances": [1]}).text == '{ "error": "Servable not found for request: Latest(nix)" }'
