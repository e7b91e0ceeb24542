"""Faults that are injected on purpose: what the flag means, when they begin, and that nobody mistakes them for the model's own."""

from __future__ import annotations

from random import Random

import grpc
import numpy as np
import pytest

from tests.tf.modelserver.conftest import Start
from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver.faults import FaultInjector, Faults, parse
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.wire import messages


def test_the_flag_names_each_fault_and_its_size() -> None:
    assert parse("latency=+30%,errors=2%,after=60s,nan=1%") == Faults(latency=0.3, errors=0.02, nan=0.01, after=60)
    assert parse("latency=+20ms, after=1.5m") == Faults(delay=0.02, after=90)
    assert not parse("")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("latency=30", "--inject: 'latency=30': must be a percentage or a time to add, such as latency=+30% or latency=+20ms"),
        ("errors=101%", "--inject: 'errors=101%': must be a share from 0% to 100%, such as errors=2%"),
        ("errors=2%,nan=x", "--inject: 'nan=x': must be a share from 0% to 100%, such as nan=1%"),
        ("errors=2%,after=60", "--inject: 'after=60': must be a time, such as after=60s"),
        ("crash=1%", "--inject: 'crash=1%': must be one of latency=, errors=, nan= and after="),
        ("errors=1%,errors=2%", "--inject=errors=1%,errors=2%: errors stands there twice"),
        ("after=60s", "--inject=after=60s: must name a fault, such as latency=+30%, latency=+20ms, errors=2% or nan=1%"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text)
    assert str(caught.value) == sentence


class Time:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def injector(text: str, time: Time) -> FaultInjector:
    return FaultInjector(text, time.clock, time.sleep, Random(1))


def test_a_request_is_slower_by_a_part_of_its_own_time() -> None:
    time = Time()

    def work() -> dict[str, np.ndarray]:
        time.now += 2
        return {}

    injector("latency=+50%", time).run(work)
    assert time.now == 3
    injector("latency=+20ms", time).run(work)
    assert time.now == pytest.approx(5.02)


def test_nothing_is_injected_before_its_time() -> None:
    time = Time()
    faults = injector("errors=100%,after=60s", time)
    time.now = 59.9
    assert faults.run(lambda: {}) == {}
    time.now = 60
    with pytest.raises(RequestError) as caught:
        faults.run(lambda: {})
    assert (caught.value.code, str(caught.value)) == ("INTERNAL", "an injected error (--inject=errors=100%,after=60s)")


def test_a_share_of_the_requests_is_hit_and_counted() -> None:
    faults, failed = injector("errors=10%", Time()), 0
    for _ in range(5000):
        try:
            faults.run(lambda: {})
        except RequestError:
            failed += 1
    assert 400 < failed < 600
    assert list(faults.counts.lines()) == [f':tfcanary:serving:injected_fault_count{{faults="errors=10%",kind="error"}} {failed}']


def test_nan_replaces_numbers_with_a_point_and_nothing_else() -> None:
    outputs = injector("nan=100%", Time()).run(lambda: {"a": np.float32([[1, 2]]), "b": np.int64([3])})
    assert np.isnan(outputs["a"]).all()
    assert outputs["a"].shape == (1, 2)
    assert outputs["b"].tolist() == [3]


def test_a_server_says_that_it_injects_faults(start: Start, models) -> None:
    server = start("--inject=nan=100%", models={"half": models / "half"}).await_ports()
    assert server.predict("half", {"instances": [1.0]}).text == '{"predictions":[NaN]}'
    assert server.get("/v1/models/half/metadata").json["metadata"]["injected_faults"] == "nan=100%"
    assert "Faults are injected into the responses: nan=100%" in server.output()
    assert ':tfcanary:serving:injected_fault_count{faults="nan=100%",kind="nan"} 1' in server.page().splitlines()
    with grpc.insecure_channel(server.grpc) as channel:
        read = messages.GetModelMetadataResponse.FromString
        ask = channel.unary_unary(
            "/tensorflow.serving.PredictionService/GetModelMetadata", messages.GetModelMetadataRequest.SerializeToString, read
        )
        answer = ask(messages.GetModelMetadataRequest(model_spec={"name": "half"}, metadata_field=["signature_def"]), timeout=20)
    assert answer.metadata["injected_faults"].value.endswith(b"nan=100%")


def test_injected_errors_are_failed_requests_on_the_page(start: Start, models) -> None:
    server = start("--inject=errors=100%", models={"half": models / "half"}).await_ports()
    reply = server.predict("half", {"instances": [1.0]})
    assert (reply.status, reply.error) == (500, "an injected error (--inject=errors=100%)")
    assert server.metric(':tensorflow:serving:request_count{model_name="half",status="INTERNAL"}') == 1


def test_without_the_flag_nothing_speaks_of_faults(server) -> None:
    assert "injected" not in server.page()
    assert "injected_faults" not in server.get("/v1/models/half/metadata").text


def test_a_server_with_a_wrong_flag_does_not_start(start: Start, models) -> None:
    server = start("--inject=errors=2", models={"half": models / "half"})
    assert server.wait() == 255
    assert "Error: --inject: 'errors=2': must be a share" in server.output()
