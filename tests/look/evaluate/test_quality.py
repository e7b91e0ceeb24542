"""Labels that arrive late: joined by id, judged as a whole and slice by slice."""

from __future__ import annotations

import json
from base64 import b64encode

import numpy as np
import pyarrow as pa
import pytest

from tfcanary.core import codec
from tfcanary.core.domain import Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import LabelledPlan
from tfcanary.look.evaluate import sources
from tfcanary.look.evaluate.quality import count, evaluate, read_labels

PLAN = LabelledPlan(labels="labels.jsonl", margin=0.05, slices=("country",))
N = 4_000


def answered(name, accuracy, n=N, worse_in="", by=0.0):
    """A track's answers to its own requests; the label is the first class, and it says so as often as it is right."""
    rng = np.random.default_rng([len(name), n])
    countries = rng.choice(["DE", "FR", "IT"], n, p=[0.6, 0.3, 0.1])
    right = rng.random(n) < accuracy - by * (countries == worse_in)
    scores = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9]).tolist()
    columns = {"id": [f"{name}-{i}" for i in range(n)], "input.country": countries, "output.scores": scores}
    return pa.table(columns).to_batches(max_chunksize=900)


LABELS = {f"{name}-{i}": {"id": f"{name}-{i}", "label": 0} for name in ("stable", "canary") for i in range(N)}


def look_at(canary, plan=PLAN, labels=LABELS) -> Look:
    look = evaluate(answered("stable", 0.9), canary, labels, plan)
    assert codec.loads(Look, codec.dumps(look)) == look
    return look


def of(look, name):
    return next(e for e in look.evidence if e.about == f"quality/{name}")


def test_an_equal_canary_passes_and_says_on_how_many_labels():
    look = look_at(answered("canary", 0.9))
    assert look.finding is Finding.PASS
    assert of(look, "labels").reason == "labels for 4,000 of the canary's 4,000 answers and 4,000 of stable's 4,000"
    assert of(look, "accuracy").interval.low > -0.05


def test_a_worse_canary_fails_and_few_labels_decide_nothing():
    assert of(look_at(answered("canary", 0.7)), "accuracy").finding is Finding.FAIL
    few = look_at(answered("canary", 0.9, n=60))
    assert few.finding is Finding.INCONCLUSIVE
    assert of(few, "accuracy").reason.endswith("too few labels to decide")


def test_a_slice_that_gets_worse_is_named_although_the_mean_improves():
    look = evaluate(answered("stable", 0.8), answered("canary", 0.97, worse_in="FR", by=0.4), LABELS, PLAN)
    assert of(look, "accuracy").finding is Finding.PASS
    slices = of(look, "slices")
    assert (slices.finding, look.finding) == (Finding.FAIL, Finding.FAIL)
    assert slices.reason.startswith("worse in country=FR: -0.2")
    by_slice = [name for name in slices.figures if name.startswith("slice ")]
    assert by_slice[0] == "slice country=FR", "the page shows the worst first"
    assert str(slices.figures["slice country=FR"]).startswith("-0.2")


def test_many_slices_without_a_difference_raise_no_alarm():
    rng = np.random.default_rng(0)
    batches: dict[str, list[pa.RecordBatch]] = {}
    for name in ("stable", "canary"):
        table = pa.Table.from_batches(answered(name, 0.9))
        batches[name] = table.append_column("input.shop", pa.array(rng.integers(0, 40, N))).to_batches()
    look = evaluate(batches["stable"], batches["canary"], LABELS, LabelledPlan("x", slices=("shop", "country")))
    assert of(look, "slices").finding is not Finding.FAIL
    assert of(look, "slices").figures["slices"] == 43
    assert sum(name.startswith("slice ") for name in of(look, "slices").figures) == 20


def test_labels_that_join_nothing_are_no_data():
    look = look_at(answered("canary", 0.9), labels={"other-1": {"label": 0}})
    assert look.finding is Finding.INCONCLUSIVE
    assert of(look, "labels").reason.endswith("no label has the id of an answer of canary or stable; do the ids agree with x-request-id?")


def test_a_failed_request_is_a_wrong_answer_and_the_judge_gets_its_three_numbers():
    batch = pa.record_batch({"id": ["canary-1", "canary-2", "unknown"], "output.scores": [[0.9, 0.1], None, [0.9, 0.1]]})
    counted = count([batch], LABELS)
    assert (counted.answered, counted.quality) == (3, (1.0, 1.0, 2.0))


def test_slices_may_stand_beside_the_labels():
    labels = {key: {**value, "shop": "A" if i % 2 else "B"} for i, (key, value) in enumerate(LABELS.items())}
    look = look_at(answered("canary", 0.9), LabelledPlan("x", margin=0.2, slices=("shop",)), labels)
    assert of(look, "slices").figures["slices"] == 2


def test_labels_are_read_from_any_form_and_checked(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(json.dumps({"id": f"a{i}", "label": "cat", "shop": "A"}) for i in range(3)))
    assert read_labels(path)["a1"] == {"id": "a1", "label": "cat", "shop": "A"}
    path.write_text('{"id": "a", "label": 1}\n{"id": "a", "label": 2}\n')
    with pytest.raises(Refused, match="id 'a' has two labels, 1 and 2"):
        read_labels(path)
    path.write_text('{"key": "a", "label": 1}\n')
    with pytest.raises(Refused, match="column 'id' is missing; there are key, label"):
        read_labels(path)


def test_labels_join_what_kserve_and_envoy_have_logged(tmp_path):
    def body(value):
        return b64encode(json.dumps(value).encode()).decode()

    asked, given = {"instances": [[1.0]]}, {"predictions": [[0.9, 0.1]]}
    for what, content in (("request", asked), ("response", given)):
        record = {"bytes": body(content), "reqType": f"org.kubeflow.serving.inference.{what}", "id": "canary-1"}
        (tmp_path / f"{what}.json").write_text(json.dumps([record]))
    headers = [{"key": "x-request-id", "value": "canary-2"}]
    tap = {
        "request": {"headers": headers, "body": {"as_bytes": body(asked)}},
        "response": {"headers": [{"key": ":status", "value": "200"}], "body": {"as_bytes": body(given)}},
    }
    (tmp_path / "tap.json").write_text(json.dumps({"http_buffered_trace": tap}))
    read = [batch for piece in sources.pieces(tmp_path) for batch, _ in sources.read(piece, sources.Selection(ids=True), lambda _: None)]
    assert count(read, LABELS).quality == (2.0, 2.0, 2.0)
    assert [tally.column.name for tally in sources.count(sources.pieces(tmp_path)).tallies] == [
        "input.value",
        "input.value[0]",
        "output.value",
        "output.value[0]",
        "output.value[1]",
    ]
