"""The comparison of two tracks that always differ, and what it says about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tfcanary import codec
from tfcanary.domain import Finding, Look, Prediction, Request, Track
from tfcanary.errors import Refused, Unavailable
from tfcanary.evaluate.predictions import compare
from tfcanary.plan import PredictionsPlan

NAN = float("nan")
PLAN = PredictionsPlan(source="golden.jsonl")


@dataclass
class Clock:
    """Time that passes only in sleep, and a little in each answer."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def now(self):
        return self.at

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass
class Tracks:
    """Two servers: each a function of the request's only row, returning a row, a status with a message, or a whole body."""

    stable: object
    canary: object
    clock: Clock = field(default_factory=Clock)
    asked: list[tuple[Track, float]] = field(default_factory=list)

    def predict(self, track, request):
        self.asked.append((track, self.clock.at.timestamp()))
        self.clock.at += timedelta(seconds=0.002 if track is Track.CANARY else 0.001)
        answer = (self.canary if track is Track.CANARY else self.stable)(request.body["instances"][0])
        if isinstance(answer, tuple):
            return Prediction(answer[0], {"error": answer[1]}, 0.001)
        body = answer if isinstance(answer, dict) and ("outputs" in answer or "predictions" in answer) else {"predictions": [answer]}
        return Prediction(200, body, 0.002 if track is Track.CANARY else 0.001)


def requests(n, label=lambda i: None):
    return [Request({"instances": [i]}, f"golden:{i}", label(i)) for i in range(n)]


def one_hot(best):
    return [0.9 if k == best % 3 else 0.05 for k in range(3)]


def look_at(stable, canary, asked=None, plan=PLAN, n=100) -> Look:
    tracks = Tracks(stable, canary)
    look = compare(tracks, requests(n) if asked is None else asked, plan, tracks.clock)
    assert codec.loads(Look, codec.dumps(look)) == look  # it travels between steps
    return look


def of(look, name):
    return next(e for e in look.evidence if e.about == f"predictions/{name}")


def absent(look, name):
    return next((a.reason for a in look.absent if a.about == f"predictions/{name}"), None)


def test_a_better_model_passes_and_its_flips_are_shown():
    look = look_at(one_hot, lambda i: one_hot(i if i % 10 else i + 1))
    assert look.finding is Finding.PASS
    flips = of(look, "flips")
    assert not flips.gating
    assert flips.figures["flips"] == 10
    assert flips.figures["largest_change"] == pytest.approx(0.85)
    assert flips.figures["mean_change"] == pytest.approx(10 * 2 * 0.85 / 300)
    assert flips.figures["worst_1"] == "golden:0 row 0: [0.9, 0.05, 0.05] -> [0.05, 0.9, 0.05]"
    assert "10 of 100 answers changed: 10.0% (2.9% to 22.8%)" in flips.reason
    assert absent(look, "accuracy") == "the requests carry no labels"


def test_both_tracks_get_the_same_requests_in_turns_and_no_faster_than_planned():
    tracks = Tracks(lambda i: one_hot(i), lambda i: one_hot(i + 1))
    done = []
    compare(tracks, requests(50), PredictionsPlan(source="x", limit=20, rate=10), tracks.clock, done.append)
    assert done == list(range(1, 21))
    assert [track for track, _ in tracks.asked[:4]] == [Track.STABLE, Track.CANARY, Track.CANARY, Track.STABLE]
    for track in Track:
        times = [at for asked, at in tracks.asked if asked is track]
        assert len(times) == 20
        assert np.diff(times).min() > 0.0979  # a tenth of a second, less the milliseconds of the track asked before


def test_a_slow_answer_is_not_followed_by_a_burst():
    tracks = Tracks(lambda i: one_hot(i), lambda i: one_hot(i + 1))

    def slow(track, request, predict=tracks.predict):
        tracks.clock.at += timedelta(seconds=5 if request.body["instances"][0] == 3 else 0)
        return predict(track, request)

    tracks.predict = slow
    compare(tracks, requests(10), PredictionsPlan(source="x", rate=10), tracks.clock)
    assert len(tracks.clock.slept) == 8


def labelled(n):
    return requests(n, label=lambda i: i % 3)


def test_a_much_worse_model_fails_with_its_accuracy_in_words():
    look = look_at(lambda i: one_hot(i if i % 30 else i + 1), lambda i: one_hot(i + i % 3), labelled(360), n=360)
    accuracy = of(look, "accuracy")
    assert accuracy.finding is Finding.FAIL
    assert accuracy.gating
    assert look.finding is Finding.FAIL
    assert accuracy.reason == (
        "accuracy 0.34 against stable's 0.96 on 100 labelled requests: difference -0.62 (-0.78 to -0.40), allowed -0.02"
    )
    assert accuracy.figures["only_stable_right"] == 66
    assert accuracy.figures["only_canary_right"] == 4
    assert accuracy.margin == -0.02


def test_an_equal_model_passes_once_there_are_enough_labels():
    stable, canary = (lambda i: one_hot(i if i % 50 else i + 1)), (lambda i: one_hot(i if i % 50 != 1 else i + 1))
    enough = look_at(stable, canary, labelled(4000), PredictionsPlan(source="x", limit=4000))
    assert of(enough, "accuracy").finding is Finding.PASS
    few = of(look_at(stable, canary, labelled(200)), "accuracy")
    assert few.finding is Finding.INCONCLUSIVE
    assert "; about " in few.reason
    assert few.reason.endswith("labelled requests would tell")


def test_the_advised_number_of_requests_does_decide():
    """At the advice, with the same share of disagreements, the question is settled."""
    stable, canary = (lambda i: one_hot(i if i % 50 else i + 1)), (lambda i: one_hot(i if i % 50 != 1 else i + 1))
    few = of(look_at(stable, canary, labelled(200)), "accuracy")
    advised = int(few.reason.split("about ")[1].split()[0])
    assert 200 < advised < 4000
    advised += -advised % 50
    plan = PredictionsPlan(source="x", limit=advised)
    assert of(look_at(stable, canary, labelled(advised), plan), "accuracy").finding is Finding.PASS


def test_a_model_just_at_the_margin_is_too_close_to_tell():
    look = look_at(one_hot, lambda i: one_hot(i if i % 50 else i + 1), labelled(500), PredictionsPlan(source="x", accuracy_margin=0.02))
    accuracy = of(look, "accuracy")
    assert accuracy.finding is Finding.INCONCLUSIVE
    assert "too close for any number of labelled requests to tell" in accuracy.reason


def test_labels_that_no_answer_ever_equals_are_inconclusive_not_equal_accuracy():
    look = look_at(one_hot, lambda i: one_hot(i + 1), requests(50, label=lambda i: "setosa"))
    assert of(look, "accuracy").finding is Finding.INCONCLUSIVE
    assert "no answer of either track equals its label" in of(look, "accuracy").reason


def test_labels_for_numbers_are_inconclusive():
    look = look_at(lambda i: [i * 1.5], lambda i: [i * 1.5 + 0.1], requests(50, label=lambda i: i))
    assert of(look, "accuracy").finding is Finding.INCONCLUSIVE
    assert "numbers, not classes" in of(look, "accuracy").reason


def test_labels_of_answers_with_several_rows_are_inconclusive():
    two = lambda best: lambda i: {"predictions": [one_hot(best), one_hot(best)]}  # noqa: E731
    look = look_at(two(0), two(1), labelled(5))
    assert "exactly one row" in of(look, "accuracy").reason
    assert look.finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize("label", [lambda i: i % 3, lambda i: float(i % 3), lambda i: str(i % 3)])
def test_labels_may_be_numbers_or_texts_of_them(label):
    look = look_at(one_hot, lambda i: one_hot(i + 1), requests(30, label=label))
    assert of(look, "accuracy").figures["stable_accuracy"] == 1.0
    assert of(look, "accuracy").figures["canary_accuracy"] == 0.0


def test_text_labels_are_compared_with_the_output_of_texts():
    names = ["setosa", "versicolor", "virginica"]
    row = lambda best: {"label": names[best % 3], "scores": one_hot(best)}  # noqa: E731
    look = look_at(row, lambda i: row(i + (i % 20 == 0)), requests(300, label=lambda i: names[i % 3]))
    assert of(look, "accuracy").figures["canary_accuracy"] == 0.95
    assert of(look, "accuracy").figures["compared"] == "the label in output 'label'"


def test_with_several_outputs_the_one_with_class_scores_is_compared_and_named():
    row = lambda best: {"embedding": [float(best), -1.0], "scores": one_hot(best)}  # noqa: E731
    look = look_at(row, lambda i: row(i + 3))
    assert of(look, "flips").figures["flips"] == 0
    assert of(look, "flips").figures["compared"] == "the class with the highest score in output 'scores'"
    assert of(look, "flips").figures["largest_change"] == 3.0


def test_single_scores_are_cut_at_a_half():
    look = look_at(lambda i: [0.4], lambda i: [0.6 if i < 5 else 0.45])
    assert of(look, "flips").figures["flips"] == 5


def test_numbers_have_no_classes_to_flip():
    look = look_at(lambda i: [i * 10.0], lambda i: [i * 10.0 + 0.5], plan=PredictionsPlan(source="x", flips=0.1))
    flips = of(look, "flips")
    assert flips.finding is Finding.INCONCLUSIVE
    assert "none can flip; numbers change by 0.5 on average and 0.5 at most" in flips.reason
    assert of(look_at(lambda i: [i * 10.0], lambda i: [i * 10.0 + 0.5]), "flips").finding is Finding.PASS


@pytest.mark.parametrize(
    ("flipped", "finding", "reason"),
    [
        (0, Finding.PASS, "0 of 100 answers changed: 0.0% (0.0% to 5."),
        (8, Finding.INCONCLUSIVE, "allowed 10.0%; about 3100 rows would tell"),
        (30, Finding.FAIL, "30 of 100 answers changed"),
    ],
)
def test_flips_gate_where_the_plan_allows_some(flipped, finding, reason):
    plan = PredictionsPlan(source="x", flips=0.1)
    look = look_at(lambda i: one_hot(i), lambda i: [x * 0.99 for x in one_hot(i + (i < flipped))], plan=plan)
    assert of(look, "flips").gating
    assert of(look, "flips").finding is finding
    assert reason in of(look, "flips").reason
    assert look.finding is finding


@pytest.mark.parametrize("broken", [NAN, None, float("inf")])
def test_an_answer_without_a_number_fails_and_never_counts_as_agreement(broken):
    look = look_at(one_hot, lambda i: one_hot(i) if i != 7 else [broken, 0.5, 0.5], labelled(100))
    assert of(look, "finite").finding is Finding.FAIL
    assert "1 of 100 rows of the canary" in of(look, "finite").reason
    assert of(look, "flips").figures["flips"] == 1
    assert of(look, "accuracy").figures["only_stable_right"] == 1


def test_nan_on_both_tracks_is_no_agreement_either():
    look = look_at(lambda i: [NAN, 0.5] if i == 7 else [0.2, 0.8], lambda i: [NAN, 0.5] if i == 7 else [0.3, 0.7])
    assert of(look, "finite").finding is Finding.WARN
    assert of(look, "flips").figures["flips"] == 1


def test_nan_only_on_stable_is_no_fault_of_the_canary():
    look = look_at(lambda i: [NAN, 0.5] if i == 7 else [0.2, 0.8], lambda i: [0.3, 0.7])
    assert of(look, "finite").finding is Finding.PASS


def test_answers_without_numbers_need_not_be_finite():
    look = look_at(lambda i: "spam", lambda i: "ham" if i == 3 else "spam")
    assert absent(look, "finite") == "the answers hold no numbers"
    assert of(look, "flips").figures["flips"] == 1


def test_an_error_only_on_the_canary_fails():
    look = look_at(one_hot, lambda i: (400, "input x is missing") if i in (4, 9) else one_hot(i))
    answers = of(look, "answers")
    assert answers.finding is Finding.FAIL
    assert answers.reason == "the canary failed 2 of 100 requests that stable answered; first request golden:4: 400 input x is missing"


def test_an_error_on_stable_is_a_warning_and_not_compared():
    look = look_at(lambda i: (400, "no") if i < 3 else one_hot(i), lambda i: (400, "no") if i < 2 else one_hot(i + 3))
    answers = of(look, "answers")
    assert answers.finding is Finding.WARN
    assert "stable failed 3 of 100 requests, they are not compared; first request golden:0: 400 no" in answers.reason
    assert (answers.figures["failed_on_both"], answers.figures["failed_on_stable_only"]) == (2, 1)
    assert of(look, "flips").figures["rows"] == 97


@pytest.mark.parametrize("failing", [100, 60])
def test_too_few_answers_are_inconclusive(failing):
    look = look_at(lambda i: (503, "busy") if i < failing else one_hot(i), lambda i: (503, "busy") if i < failing else one_hot(i + 3))
    assert look.finding is Finding.INCONCLUSIVE
    assert "503 busy" in of(look, "answers").reason


def test_no_requests_are_inconclusive():
    look = look_at(one_hot, lambda i: one_hot(i + 1), [])
    assert look.finding is Finding.INCONCLUSIVE
    assert of(look, "answers").reason == "the source holds no requests: nothing was compared"


def test_answers_without_rows_are_inconclusive():
    look = look_at(lambda i: {"predictions": []}, lambda i: {"predictions": [], "more": 1})
    assert look.finding is Finding.INCONCLUSIVE


def test_a_track_that_does_not_answer_is_inconclusive_and_asked_no_more():
    def gone(i):
        if i == 20:
            raise Unavailable("http://127.0.0.1:1: connection refused")
        return one_hot(i)

    look = look_at(one_hot, gone)
    assert look.finding is Finding.INCONCLUSIVE
    assert of(look, "answers").reason == "stopped after 20 requests: http://127.0.0.1:1: connection refused"
    assert of(look, "flips").figures["rows"] == 20


def test_an_answer_of_another_form_fails():
    look = look_at(one_hot, lambda i: {"label": i % 3, "scores": one_hot(i)})
    assert of(look, "answers").finding is Finding.FAIL
    assert "another form: clients break; first request golden:0: 1 rows with label, scores; stable: 1 rows" in of(look, "answers").reason


def test_another_number_of_values_is_a_warning():
    look = look_at(one_hot, lambda i: [*one_hot(i), 0.0])
    assert of(look, "answers").finding is Finding.WARN
    assert of(look, "flips").figures["flips"] == 0


def test_latency_is_shown_and_never_decides():
    latency = of(look_at(one_hot, lambda i: one_hot(i + 3)), "latency")
    assert not latency.gating
    assert latency.reason == "median 2 ms against stable's 1 ms over 100 requests, asked one by one"


def test_what_comes_from_outside_is_cut_and_cannot_be_expanded():
    asked = [Request({"instances": [0]}, "{{workflow.name}} $(HOME) " + "x" * 500)]
    look = look_at(lambda i: ["a {{b}}", "c"], lambda i: (500, "$(boom) " + "y" * 5000), asked)
    assert "{{" not in codec.dumps(look)
    assert len(of(look, "answers").reason) < 400


def test_enormous_numbers_stay_finite():
    look = look_at(lambda i: [1e308, -1e308], lambda i: [-1e308, 1e308])
    assert np.isfinite(of(look, "flips").figures["mean_change"])


def test_a_request_that_cannot_be_read_is_refused():
    def source():
        yield from requests(3)
        raise Refused("golden.jsonl: line 4: not JSON")

    with pytest.raises(Refused, match="line 4"):
        look_at(one_hot, lambda i: one_hot(i + 1), source())


def test_it_stops_as_soon_as_it_is_sure():
    """A much worse model is known after a hundred requests; one that is equal takes as many as it takes."""
    sent = []
    tracks = Tracks(one_hot, lambda i: one_hot(i + 1))
    compare(tracks, labelled(5_000), PredictionsPlan(source="x", limit=5_000), tracks.clock, sent.append)
    assert sent[-1] == 100
    look = look_at(one_hot, one_hot, labelled(5_000), PredictionsPlan(source="x", limit=5_000, accuracy_margin=0.05))
    assert of(look, "accuracy").finding is Finding.PASS
    assert 100 <= of(look, "answers").figures["requests"] < 1_000


def test_without_labels_and_limits_there_is_nothing_to_be_sure_of():
    assert of(look_at(one_hot, lambda i: one_hot(i + 1), n=400, plan=PredictionsPlan(source="x")), "answers").figures["requests"] == 400


def from_countries(n):
    return [
        Request({"instances": [{"x": i, "country": "FR" if i % 5 == 0 else "DE"}]}, f"golden:{i}", (i // 5 if i % 5 == 0 else i) % 3)
        for i in range(n)
    ]


def right(row, spoilt=""):
    """Says the label, but in one country."""
    i = row["x"]
    label = i // 5 if i % 5 == 0 else i
    return one_hot(label + (row["country"] == spoilt))


def test_a_slice_that_gets_worse_is_named_although_the_mean_is_better():
    plan = PredictionsPlan(source="x", limit=1_000, accuracy_margin=0.3, slices=("country",))
    look = look_at(
        lambda row: right(row) if row["country"] == "FR" or row["x"] % 4 else one_hot(row["x"] + 1),
        lambda row: right(row, spoilt="FR"),
        from_countries(1_000),
        plan,
    )
    assert of(look, "accuracy").finding is Finding.PASS
    slices = of(look, "slices")
    assert (slices.finding, look.finding) == (Finding.FAIL, Finding.FAIL)
    assert slices.reason.startswith("worse in country=FR: -1.00 (")


def test_a_small_slice_that_may_be_worse_is_a_warning():
    plan = PredictionsPlan(source="x", limit=200, accuracy_margin=0.3, slices=("x",))
    asked = [Request({"instances": [{"x": i % 100}]}, str(i), i % 100 % 3) for i in range(200)]
    look = look_at(lambda row: one_hot(row["x"]), lambda row: one_hot(row["x"] + (row["x"] == 7)), asked, plan)
    assert of(look, "slices").finding is Finding.WARN
    assert "perhaps worse in x=7: -1.00" in of(look, "slices").reason


def test_flips_are_counted_for_each_class_of_stable():
    figures = of(look_at(one_hot, lambda i: one_hot(i + (i % 3 == 2)), n=300), "flips").figures
    assert figures["flips class=2"] == "100 of 100"
    assert "flips class=1" not in figures
