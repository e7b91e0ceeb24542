"""Mirrored requests: both tracks' logs, joined by id, compared without sending anything."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from tfcanary.core.domain import Finding, Prediction
from tfcanary.core.errors import Refused
from tfcanary.core.plan import PredictionsPlan
from tfcanary.look.evaluate.mirrored import MirroredLogs, has_mirrored_logs
from tfcanary.look.evaluate.predictions import compare_pairs

PLAN = PredictionsPlan(source="logs", flips=0.1)
SAME, OTHER = [0.9, 0.1], [0.1, 0.9]


def body(value):
    return b64encode(json.dumps(value).encode()).decode()


def kserve(folder, exchanges):
    """Request and answer as two records with the same id."""
    folder.mkdir(parents=True)
    for what, of in (("request", 1), ("response", 2)):
        records = [{"bytes": body(one[of]), "reqType": f"org.kubeflow.serving.inference.{what}", "id": one[0]} for one in exchanges]
        (folder / f"{what}.json").write_text("\n".join(map(json.dumps, records)))


def taps(folder, exchanges):
    folder.mkdir(parents=True)
    for number, (one, asked, given) in enumerate(exchanges):
        headers = [{"key": "x-request-id", "value": one}]
        status = "200" if given else "503"
        tap = {
            "request": {"headers": headers, "body": {"as_bytes": body(asked)}},
            "response": {"headers": [{"key": ":status", "value": status}], "body": {"as_bytes": body(given)}},
        }
        (folder / f"{number}.json").write_text(json.dumps({"http_buffered_trace": tap}))


def exchanges(n, answer=lambda i: SAME, first=0):
    return [(f"r{i}", {"instances": [[float(i)]]}, {"predictions": [answer(i)]}) for i in range(first, n)]


@pytest.mark.parametrize("write", [kserve, taps])
def test_two_logs_are_joined_by_id_and_answer_by_answer_compared(tmp_path, write):
    write(tmp_path / "stable", exchanges(400))
    write(tmp_path / "canary", exchanges(400, lambda i: OTHER if i % 4 == 0 else SAME)[::-1])
    assert has_mirrored_logs(tmp_path)
    logs = MirroredLogs(tmp_path)
    look = compare_pairs(logs.pairs(500), PLAN)
    flips = next(e for e in look.evidence if e.about == "predictions/flips")
    assert flips.finding is Finding.FAIL
    assert flips.interval.estimate == pytest.approx(0.25, abs=0.02)
    assert logs.evidence().reason.endswith("requests have an answer of each track in the logs")
    assert [a.reason for a in look.absent if a.about == "predictions/latency"] == ["recorded answers have no latency"]


def test_what_has_no_partner_is_said_and_other_requests_by_the_same_id_are_none(tmp_path):
    kserve(tmp_path / "stable", exchanges(150))
    strangers = [("r1", {"instances": [[-1.0]]}, {"predictions": [SAME]}), ("", {"instances": [[0.0]]}, {"predictions": [SAME]})]
    kserve(tmp_path / "canary", [*exchanges(170, first=10), *strangers])
    logs = MirroredLogs(tmp_path)
    assert len(list(logs.pairs(1_000))) == 140
    evidence = logs.evidence()
    assert (evidence.finding, evidence.figures["canary_alone"]) == (Finding.WARN, 22)
    assert "22 of the canary's have no partner" in evidence.reason


def test_logs_of_different_requests_compare_nothing(tmp_path):
    kserve(tmp_path / "stable", exchanges(20))
    kserve(tmp_path / "canary", exchanges(40, first=20))
    logs = MirroredLogs(tmp_path)
    look = compare_pairs(logs.pairs(100), PLAN)
    assert (look.finding, logs.evidence().finding) == (Finding.INCONCLUSIVE, Finding.INCONCLUSIVE)
    assert "no request of the canary's log is in stable's log by its id" in logs.evidence().reason


def test_a_request_that_only_the_canary_failed_fails_the_comparison(tmp_path):
    taps(tmp_path / "stable", exchanges(120))
    taps(tmp_path / "canary", [*exchanges(119), ("r119", {"instances": [[119.0]]}, None)])
    pairs = list(MirroredLogs(tmp_path).pairs(200))
    assert pairs[-1][2] in (Prediction(200, {"predictions": [SAME]}, 0.0), Prediction(500, {"error": "it failed"}, 0.0))
    assert compare_pairs(pairs, PLAN).finding is Finding.FAIL


def test_rows_that_are_no_logged_requests_are_refused_by_name(tmp_path):
    kserve(tmp_path / "stable", exchanges(3))
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Refused, match=r"x\.csv: is CSV; mirrored requests must be request logs of KServe"):
        list(MirroredLogs(tmp_path).pairs(10))
