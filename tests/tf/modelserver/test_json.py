"""JSON bodies as clients send them: what the original's parser accepts and refuses, and with which sentence."""

from __future__ import annotations

import base64
import json

import pytest

from tests.tf.modelserver.served import Running
from tfcanary.tf.modelserver import json_reader
from tfcanary.tf.modelserver.status import RequestError


def outputs(server: Running, signature: str, body: str | bytes) -> str:
    text = body if isinstance(body, bytes) else body.encode()
    reply = server.predict("numbers", text.replace(b"{", f'{{"signature_name":"{signature}",'.encode(), 1))
    return reply.text.removeprefix('{"outputs":').removesuffix("}") if reply.status == 200 else f"{reply.status}: {reply.error}"


@pytest.mark.parametrize(
    ("signature", "sent", "answered"),
    [
        ("float32", "[NaN, Infinity, -Infinity, 5]", "[NaN,Infinity,-Infinity,5.0]"),
        ("float32", "[Inf, -Inf, -NaN]", "[Infinity,-Infinity,NaN]"),
        ("float32", "NaN", "NaN"),
        ("float64", "[[1, NaN], [Infinity, 0.1]]", "[[1.0,NaN],[Infinity,0.1]]"),
        ("float32", "[1e39, -1e39]", "[Infinity,-Infinity]"),
        ("float64", "[18446744073709551616]", "[1.8446744073709552e+19]"),
        ("float64", "[1e308, 123456789.123456789]", "[1e+308,123456789.12345679]"),
        (
            "int64",
            "[9007199254740993, 9223372036854775807, -9223372036854775808]",
            "[9007199254740993,9223372036854775807,-9223372036854775808]",
        ),
        ("uint64", "[18446744073709551615]", "[18446744073709551615]"),
        ("uint32", "[4294967295]", "[4294967295]"),
        ("int8", "[127, 128, -129, 300]", "[127,-128,127,44]"),
        ("uint8", "[255, 256, -1]", "[255,0,255]"),
        ("bool", "[true, false]", "[true,false]"),
        ("string", r'["\ud83d\ude00", "\u0000x", ""]', '["😀","\\u0000x",""]'),
        ("upper", '"abc"', '"ABC"'),
    ],
)
def test_a_value_comes_back_as_the_original_writes_it(server: Running, signature: str, sent: str, answered: str) -> None:
    assert outputs(server, signature, f'{{"inputs":{sent}}}') == answered


@pytest.mark.parametrize(
    ("signature", "sent", "message"),
    [
        ("int64", "[9223372036854775808]", "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
        ("int64", "[1.0]", "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        ("int64", "[1e3]", "JSON Value: 1000.0 Type: Number is not of expected type: int64"),
        ("int64", "[NaN]", "JSON Value: NaN Type: Number is not of expected type: int64"),
        ("int64", '["5"]', 'JSON Value: "5" Type: String is not of expected type: int64'),
        ("uint64", "[-1]", "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("bool", "[1]", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("float32", "[null]", "JSON Value: null Type: Null is not of expected type: float"),
        ("float32", '["NaN"]', 'JSON Value: "NaN" Type: String is not of expected type: float'),
        ("string", "[5]", "JSON Value: 5 Type: Number is not of expected type: string"),
    ],
)
def test_a_value_of_another_type_is_refused(server: Running, signature: str, sent: str, message: str) -> None:
    assert outputs(server, signature, f'{{"inputs":{sent}}}') == f"400: {message}"


def test_a_type_that_json_cannot_express_is_not_implemented(server: Running) -> None:
    assert outputs(server, "float16", '{"inputs":[1.5]}') == "501: Conversion of JSON Value: 1.5 to type: half"
    reply = server.predict("numbers", {"signature_name": "float16", "instances": [1.5]})
    assert (reply.status, "Error: UNIMPLEMENTED: Conversion of JSON Value: 1.5 to type: half" in reply.error) == (400, True)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"inputs":[1],"inputs":[2]}', {"inputs": [1]}),
        (b'{"inputs":{"x":[1],"x":[2]}}', {"inputs": {"x": [1]}}),
        (b'{"a":[{"b":1},{"b":2,"b":3}]}', {"a": [{"b": 1}, {"b": 2}]}),
        (b'{"a":NaN,"a":2}', {"a": pytest.approx(float("nan"), nan_ok=True)}),
        (b'{"url":"http://a:80","list":["a:b"]}', {"url": "http://a:80", "list": ["a:b"]}),
        (b'\xef\xbb\xbf {"a":1} and more', {"a": 1}),
        (b'{"a":"\xff"}', {"a": "\udcff"}),
        (rb'{"a":Inf,"b":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}', {"a": float("inf"), "b": '"\\/\b\f\n\r\té😀'}),
        (
            b'{"a":[Inf, {"b":[ ], "c":{ }, "d":[true,false,null,-0,1.5E+2]}]}',
            {"a": [float("inf"), {"b": [], "c": {}, "d": [True, False, None, 0, 150.0]}]},
        ),
    ],
)
def test_the_parser_takes_what_rapidjson_takes(body: bytes, value: object) -> None:
    assert json_reader.parse(body) == value


@pytest.mark.parametrize(
    ("body", "message", "offset"),
    [
        (b" ", "The document is empty.", 1),
        (b"x=1", "Invalid value.", 0),
        (b"[nan]", "Invalid value.", 2),
        (b"[Infinit]", "Invalid value.", 8),
        (b"[.5]", "Invalid value.", 1),
        (b"[+1]", "Invalid value.", 1),
        (b"[1,]", "Invalid value.", 3),
        (b"[0.]", "Miss fraction part in number.", 3),
        (b"[1e]", "Miss exponent in number.", 3),
        (b"[01]", "Missing a comma or ] after an array element.", 2),
        (b"[1 2]", "Missing a comma or ] after an array element.", 3),
        (b"[1", "Missing a comma or ] after an array element.", 2),
        (b"{'a':1}", "Missing a name for object member.", 1),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a":1 "b"}', "Missing a comma or } after an object member.", 7),
        (b'["abc', "Missing a closing quotation mark in string.", 5),
        (b'["a\\x"]', "Invalid escape character in string.", 3),
        (b'["\n"]', "Invalid escape character in string.", 2),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        (b'["\\ud83d"]', "The surrogate pair in string is invalid.", 2),
        (b'["\\ud83d\\u0041"]', "The surrogate pair in string is invalid.", 2),
        (b"[1e400]", "Number too big to be stored in double.", 1),
        (b"[1, -1e400]", "Number too big to be stored in double.", 4),
        (b"[" + b"9" * 5000 + b"]", "Number too big to be stored in double.", 1),
    ],
)
def test_what_is_no_json_is_refused_with_rapidjsons_message(body: bytes, message: str, offset: int) -> None:
    with pytest.raises(RequestError) as caught:
        json_reader.parse(body)
    assert str(caught.value) == f"JSON Parse error: {message} at offset: {offset}"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 500 + b"Inf" + b"]" * 500])
def test_deep_nesting_ends_in_an_error(body: bytes) -> None:
    with pytest.raises(RequestError, match="More than 200 nested values"):
        json_reader.parse(body)


def test_a_large_document_that_is_broken_is_not_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "_Reader", None)
    with pytest.raises(RequestError, match="Invalid value"):
        json_reader.parse(b"[" + b"1," * json_reader.MAX_SLOW_SIZE)
    assert json_reader.parse(b"[" + b"NaN," * json_reader.MAX_SLOW_SIZE + b"1]")[-1] == 1


RAW = bytes(range(256)) + b"\xfb\xff\xfe"
STANDARD = base64.b64encode(RAW).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        STANDARD.rstrip("="),
        base64.encodebytes(RAW).decode(),
        base64.encodebytes(RAW).decode().replace("\n", "\r\n"),
        f" \t\v\f{STANDARD[:7]} {STANDARD[7:]}\n",
        STANDARD.replace("=", "."),
        STANDARD.replace("=", "= "),
    ],
)
def test_base64_is_taken_in_all_spellings_that_clients_produce(server: Running, text: str) -> None:
    reply = server.predict("words", {"instances": [{"b64": text}]})
    assert base64.b64decode(reply.json["predictions"][0]["same_bytes"]["b64"]) == RAW


@pytest.mark.parametrize("text", ["YQ=", "YQ===", "Y", "=", "YQ==YQ==", "YQ==Y", "-_==", "data:image/png;base64,YQ==", "é", "\ud800"])
def test_what_is_no_base64_is_refused(server: Running, text: str) -> None:
    reply = server.predict("words", json.dumps({"inputs": [{"b64": text}]}, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert (reply.status, reply.error) == (400, "Unable to base64 decode")
