"""The metrics page: names, labels, buckets and digits of TF Serving, and what counts."""

from __future__ import annotations

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.tf.modelserver.conftest import Start
from tests.tf.modelserver.served import METRICS, Running
from tfcanary.tf.modelserver.page import MAX_SERIES, Counter, Histogram, MetricsPage

BOUNDS = (  # noqa: SIM905
    "10 18 32.4 58.32 104.976 188.957 340.122 612.22 1102 1983.59 3570.47 6426.84 11568.3 20823 37481.3 67466.4 121440 218591 393464 "
    "708235 1.27482e+06 2.29468e+06 4.13043e+06 7.43477e+06 1.33826e+07 2.40887e+07 4.33596e+07 7.80473e+07 1.40485e+08 2.52873e+08 "
    "4.55172e+08 8.19309e+08 1.47476e+09 +Inf"
).split()


def test_a_bucket_holds_what_is_below_its_bound() -> None:
    histogram = Histogram(":t:latency", "model_name")
    for microseconds in (9.9, 10, 17.9, 1e12):
        histogram.observe(microseconds, "m")
    lines = list(histogram.lines())
    assert lines[:3] == [
        ':t:latency_bucket{model_name="m",le="10"} 1',
        ':t:latency_bucket{model_name="m",le="18"} 3',
        ':t:latency_bucket{model_name="m",le="32.4"} 3',
    ]
    assert lines[32:] == [
        ':t:latency_bucket{model_name="m",le="1.47476e+09"} 3',
        ':t:latency_bucket{model_name="m",le="+Inf"} 4',
        ':t:latency_sum{model_name="m"} 1e+12',
        ':t:latency_count{model_name="m"} 4',
    ]
    assert [re.search('le="([^"]*)"', line)[1] for line in lines[:34]] == BOUNDS


def test_numbers_have_six_digits_and_labels_are_escaped() -> None:
    histogram = Histogram(":t:latency")
    histogram.observe(1234567890.5)
    assert ":t:latency_sum{} 1.23457e+09" in list(histogram.lines())
    counter = Counter(":t:count", "name")
    counter.add('a"b\\c\nd', amount=7)
    assert list(counter.lines()) == [':t:count{name="a\\"b\\\\c\\nd"} 7']


def test_clients_cannot_make_series_without_end() -> None:
    counter = Counter(":t:count", "name", "status")
    for number in range(MAX_SERIES + 5):
        counter.add(str(number), "NOT_FOUND")
    counter.add("0", "NOT_FOUND")
    lines = list(counter.lines())
    assert len(lines) == MAX_SERIES + 1
    assert ':t:count{name="",status=""} 5' in lines
    assert ':t:count{name="0",status="NOT_FOUND"} 2' in lines


def test_a_metric_without_series_shows_its_type() -> None:
    assert MetricsPage().text() == (
        "# TYPE :tensorflow:cc:saved_model:load_attempt_count counter\n"
        "# TYPE :tensorflow:cc:saved_model:load_latency counter\n"
        "# TYPE :tensorflow:serving:batching_session:input_batch_size histogram\n"
        "# TYPE :tensorflow:serving:batching_session:padding_size histogram\n"
        "# TYPE :tensorflow:serving:batching_session:processed_batch_size histogram\n"
        "# TYPE :tensorflow:serving:batching_session:queuing_latency histogram\n"
        "# TYPE :tensorflow:serving:batching_session:wrapped_run_count counter\n"
        "# TYPE :tensorflow:serving:model_warmup_latency histogram\n"
        "# TYPE :tensorflow:serving:model_warmup_records_read counter\n"
        "# TYPE :tensorflow:serving:request_count counter\n"
        "# TYPE :tensorflow:serving:request_example_count_total counter\n"
        "# TYPE :tensorflow:serving:request_example_counts histogram\n"
        "# TYPE :tensorflow:serving:request_latency histogram\n"
        "# TYPE :tensorflow:serving:request_log_count counter\n"
        "# TYPE :tensorflow:serving:runtime_latency histogram\n"
    )


def test_every_rest_request_below_v1_is_counted_and_only_answered_ones_have_a_latency(start: Start, models) -> None:
    server = start(models={"half": models / "half"}).await_ports()
    assert server.get(METRICS).headers["content-type"] == "text/plain"
    assert "model_name" not in server.page()
    server.predict("half", {"instances": [1]})
    server.call("POST", "/v1/models/half:PREDICT", {"instances": [1]})
    server.predict("half", {"instances": ["x"]})
    server.predict("nix", {"instances": [1]})
    server.get("/v1/models/half")
    server.get("/v1/models/half/metadata")
    server.get("/v1/nix")
    server.call("DELETE", "/v1/models/half")
    server.get("/elsewhere")
    page = server.page()
    assert [line for line in page.splitlines() if "request_count{" in line] == [
        ':tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"} 2',
        ':tensorflow:serving:request_count{model_name="half",status="INVALID_ARGUMENT"} 1',
        ':tensorflow:serving:request_count{model_name="half",status="OK"} 4',
        ':tensorflow:serving:request_count{model_name="nix",status="NOT_FOUND"} 1',
    ]
    assert [line for line in page.splitlines() if "request_latency_count{" in line] == [
        ':tensorflow:serving:request_latency_count{model_name="half",API="",entrypoint="REST"} 2',
        ':tensorflow:serving:request_latency_count{model_name="half",API="PREDICT",entrypoint="REST"} 1',
        ':tensorflow:serving:request_latency_count{model_name="half",API="predict",entrypoint="REST"} 1',
    ]
    assert ':tensorflow:serving:runtime_latency_count{model_name="half",API="Predict",runtime="TF1"} 2' in page.splitlines()
    path = f'model_path="{models}/half/2"'
    assert f':tensorflow:cc:saved_model:load_attempt_count{{{path},status="success"}} 1' in page.splitlines()
    assert {family.name for family in text_string_to_metric_families(page)} >= {":tensorflow:serving:request_count"}


def test_a_latency_is_in_microseconds(server: Running) -> None:
    labels = '{model_name="slow",API="predict",entrypoint="REST"}'
    before = server.metric(f":tensorflow:serving:request_latency_sum{labels}")
    began = time.perf_counter()
    server.predict("slow", {"instances": [300]})
    elapsed = (time.perf_counter() - began) * 1e6
    grown = server.metric(f":tensorflow:serving:request_latency_sum{labels}") - before
    assert 300_000 <= grown * 1.00001 <= elapsed + 10


@pytest.mark.parametrize("text", ["", "prometheus_config { enable: false }"])
def test_without_its_config_there_is_no_page(start: Start, models, tmp_path, text: str) -> None:
    (tmp_path / "off.cfg").write_text(text)
    server = start(f"--monitoring_config_file={tmp_path}/off.cfg", models={"half": models / "half"}, monitored=False).await_ports()
    assert server.get(METRICS).status == 404


def test_the_page_may_be_elsewhere(start: Start, models, tmp_path) -> None:
    (tmp_path / "on.cfg").write_text('prometheus_config { enable: true path: "/metrics" }')
    server = start(f"--monitoring_config_file={tmp_path}/on.cfg", models={"half": models / "half"}, monitored=False).await_ports()
    assert ":tensorflow:serving:request_count" in server.get("/metrics").text
