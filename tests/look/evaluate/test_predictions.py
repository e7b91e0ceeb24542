"""The comparison of two tracks that always differ, and what it says about them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from tests.look.evaluate.tracks import Tracks, absent, labelled, look_at, of, one_hot, requests
from tfcanary.core import codec
from tfcanary.core.domain import COMPARED, Finding, Request, Track
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.plan import PredictionsPlan
from tfcanary.look.evaluate.predictions import compare

NAN = float("nan")


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
    for track in COMPARED:
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
        (8, Finding.INCONCLUSIVE, "allowed 10.0%; about 3100 rows would decide"),
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
    reason = of(look, "answers").reason
    assert "in another form, which breaks clients; first request golden:0: 1 rows with label, scores; stable: 1 rows" in reason


def test_another_number_of_values_is_a_warning():
    look = look_at(one_hot, lambda i: [*one_hot(i), 0.0])
    assert of(look, "answers").finding is Finding.WARN
    assert of(look, "flips").figures["flips"] == 0


def test_latency_is_shown_and_never_decides():
    latency = of(look_at(one_hot, lambda i: one_hot(i + 3)), "latency")
    assert not latency.gating
    assert latency.reason == "median 2 ms against stable's 1 ms over 100 requests, sent one by one"


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


def test_flips_are_counted_for_each_class_of_stable():
    figures = of(look_at(one_hot, lambda i: one_hot(i + (i % 3 == 2)), n=300), "flips").figures
    assert figures["flips class=2"] == "100 of 100"
    assert "flips class=1" not in figures
