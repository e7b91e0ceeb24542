"""What a page says, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes import weighing
from tests.report import samples
from tests.report.reading import browser, markdown, xml
from tfcanary import report
from tfcanary.core.domain import Absence, Decision, Evidence, Finding, Interval, Look, Verdict
from tfcanary.core.record import Pause, Record, Refusal, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.of_history import history_page


def headings(twin: str) -> list[str]:
    """Of the first two levels."""
    tokens = markdown(twin)
    return [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag in ("h1", "h2")]


def release_of(record: Record) -> Release:
    """The one there is."""
    assert record.release
    return record.release


def test_a_release_says_first_how_it_ended_and_why() -> None:
    record, timeline = samples.rolled_back()
    root = xml(report.release_html(record, timeline))
    header = root.find("body/main/header")
    assert header is not None
    assert "".join(header.itertext()).split("\n")[1:] == [
        "Release of digits, version 3Rolled back at stage 2 (50 %)",
        "Errors 4.1 times stable's (39 of 1,720 against 24 of 4,330).",
    ]


def test_the_sections_of_a_release_in_their_order() -> None:
    record, timeline = samples.rolled_back()
    assert headings(report.release_markdown(record, timeline)) == [
        "Rolled back at stage 2 (50 %)",
        "Over time",
        "Stages",
        "Criteria at stage 2",
        "Gates",
        "Plan",
        "Not checked",
        "What was released",
        "Earlier releases",
    ]


def test_the_criteria_are_those_of_the_latest_stage_even_before_it_is_judged() -> None:
    record, timeline = samples.promoted()
    waiting = replace(release_of(record), state=State.WATCHED, verdicts=release_of(record).verdicts[:1])
    assert "Criteria at stage 2" in headings(report.release_markdown(replace(record, release=waiting), timeline))


def test_a_release_that_somebody_aborted_still_shows_what_was_known() -> None:
    """The abort is a verdict that rests on nothing."""
    record, timeline = samples.promoted()
    release = release_of(record)
    aborted = Verdict(Decision.ROLLBACK, "aborted by ana", stage=2)
    stopped = replace(release, state=State.ROLLED_BACK, watched=(*release.watched[:2], aborted), verdicts=release.verdicts[:2])
    assert "Criteria at stage 1" in headings(report.release_markdown(replace(record, release=stopped), timeline))


def test_html_and_markdown_have_the_same_sections() -> None:
    for make in samples.RELEASES.values():
        record, timeline = make()
        root = xml(report.release_html(record, timeline))
        named = ["".join(h.itertext()) for h in root.iter() if h.tag in ("h1", "h2")]
        assert named == headings(report.release_markdown(record, timeline))


def test_both_say_the_same_reasons_figures_and_digests() -> None:
    record, timeline = samples.promoted()
    page = browser(report.release_html(record, timeline)).words
    twin = report.release_markdown(record, timeline)
    for said in ("21 of 10,480 against 22 of 10,510", "0.92, from 0.62 to 1.36", "tolerance 1.10; margin 1.50", samples.CANDIDATE.digest):
        assert said in page
        assert said in twin


def test_a_release_without_a_timeline_draws_the_weights_of_its_events() -> None:
    record, _ = samples.rolled_back()
    page = report.release_html(record)
    assert "0 % from 11:55:00 UTC; 5 % from 12:00:00 UTC; 25 % from 12:06:00 UTC; 50 % from 12:12:00 UTC; 0 % from 12:13:36 UTC" in page
    assert "Requests a second" not in page


def test_the_fall_to_zero_after_the_last_poll_is_drawn() -> None:
    record, timeline = samples.rolled_back()
    assert "50 % from 12:12:00 UTC; 0 % from 12:13:36 UTC" in report.release_html(record, timeline)


def test_a_release_refused_before_any_traffic_has_no_picture_of_it() -> None:
    record, timeline = samples.refused_by_validation()
    page = report.release_html(record, timeline)
    assert "Refused before any traffic" in page
    assert "Over time" not in headings(report.release_markdown(record, timeline))
    assert "Stages" not in headings(report.release_markdown(record, timeline))


def test_a_record_without_a_release_has_a_page() -> None:
    for record in (Record("digits", "1.0.0"), replace(samples.promoted()[0], release=None)):
        assert "No release yet" in report.release_html(record)
        assert report.release_markdown(record).startswith("# No release yet")


def test_a_release_that_has_just_begun_has_a_page() -> None:
    release = replace(samples.begun(samples.Plan(), "run-1"), looks={}, events=(), candidate=None)
    twin = report.release_markdown(Record("digits", "1.0.0", release=release), Timeline())
    assert twin.startswith("# Open (no traffic yet)\n\n**The candidate is being checked and deployed; it has no traffic yet.**")


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_an_answer_a_reason_and_a_line(state: State) -> None:
    record, timeline = samples.rolled_back()
    release = replace(release_of(record), state=state, reason="")
    twin = report.release_markdown(replace(record, release=release), timeline)
    assert state.value in headings(twin)[0].lower()
    assert state.value in report.release_line(release)


def test_a_look_without_evidence_does_not_look_passed() -> None:
    assert report.look_markdown(Look("x"), "t").startswith("# Inconclusive\n\n**Nothing was checked that may decide.**")


def test_a_look_that_was_not_asked_for_says_absent_by_plan_and_not_passed() -> None:
    """The gate lets it through, but no page calls it passed."""
    twin = report.look_markdown(Look("compare", absent=(Absence("predictions", "absent by plan"),)), "t")
    assert twin.startswith("# Absent by plan\n\n**Nothing was checked here: absent by plan.**")
    assert "Passed" not in twin


def test_a_look_that_could_not_be_asked_for_another_reason_says_that_reason() -> None:
    twin = report.look_markdown(Look("compare", absent=(Absence("predictions", "there is no stable version"),)), "t")
    assert twin.startswith("# Not checked\n\n**Nothing was checked here: there is no stable version.**")


def test_the_sentence_of_a_look_is_the_reason_of_its_worst_answer_that_may_decide() -> None:
    shown = Evidence("a", Finding.FAIL, "not gating", gating=False)
    look = Look("x", (Evidence("b", Finding.WARN, "large"), shown, Evidence("c", Finding.INCONCLUSIVE, "no data")))
    assert report.look_markdown(look, "t").startswith("# Inconclusive\n\n**No data.**")


def test_what_does_not_gate_is_marked() -> None:
    twin = report.look_markdown(samples.VALIDATED, "t")
    assert "**warn** (shown only) | `savedmodel/size`" in twin


def test_what_passed_is_folded_and_what_did_not_is_seen() -> None:
    look = release_of(samples.refused_by_validation()[0]).looks["validate"]
    root = xml(report.look_html(look, "t"))
    folded = "".join(word for fold in root.iter("details") for word in fold.itertext())
    assert "savedmodel/loads" in folded
    assert "savedmodel/signature" not in folded


def test_two_signatures_stand_side_by_side() -> None:
    words = browser(report.look_html(samples.VALIDATED, "t", samples.PAIRS)).words
    for change in ("changed", "removed", "added", "same"):
        assert change in words
    assert "float32 [?, 12]" in words


@pytest.mark.parametrize(
    ("decision", "word"),
    [(Decision.ADVANCE, "Advance"), (Decision.PROMOTE, "Promote"), (Decision.HOLD, "Hold"), (Decision.ROLLBACK, "Roll back")],
)
def test_a_verdict_says_first_what_was_decided(decision: Decision, word: str) -> None:
    verdict = Verdict(decision, "because")
    assert headings(report.verdict_markdown(verdict, "stage 0")) == [word]
    assert f">{word}</h1>" in report.verdict_html(verdict, "stage 0")


def test_one_line_for_terminals() -> None:
    made = {name: make() for name, make in samples.RELEASES.items()}
    lines = {name: report.release_line(release_of(record), timeline) for name, (record, timeline) in made.items()}
    assert lines["rolled_back"] == (
        "digits v3 rolled back at stage 2 (50 %): errors 4.1 times stable's (39 of 1,720 against 24 of 4,330); 1,730 requests reached it"
    )
    assert lines["promoted"].startswith("digits v3 promoted: every criterion passed")
    assert lines["refused_by_validation"].startswith("gs://exports/digits/12 refused before any traffic: output `scores`")
    assert lines["refused_by_predictions"].endswith("; no request reached it")


def test_weakened_plans_are_said_openly() -> None:
    record, timeline = samples.undecided()
    twin = report.release_markdown(record, timeline)
    assert "Weaker than the defaults in 4 places" in twin
    assert "| `stage.minimum` | 5 min | 1 min | **weaker** (shortened) |" in twin
    assert "| `judge.errors.margin` | 0.5 | 1 | **weaker** (widened) |" in twin


def test_the_version_that_is_stable_now_is_named_after_a_promotion() -> None:
    record, timeline = samples.promoted()
    twin = report.release_markdown(record, timeline)
    assert f"| Stable version now | `3 {samples.CANDIDATE.digest}`" in twin
    assert f"| Stable version before | `2 {samples.STABLE.digest}`" in twin


def test_every_picture_says_in_words_what_it_shows() -> None:
    """Title and description of each; signs beside a word are hidden from readers of the page aloud."""
    for make in samples.RELEASES.values():
        for svg in xml(report.release_html(*make())).iter("svg"):
            if svg.get("role") == "img":
                title, description = svg.find("title"), svg.find("desc")
                assert title is not None
                assert title.text
                assert description is not None
                assert description.text


def test_pages_are_pure() -> None:
    """The same values give the same page."""
    record, timeline = samples.promoted()
    assert report.release_html(record, timeline) == report.release_html(*samples.promoted())


def test_one_number_of_canary_requests_everywhere() -> None:
    """Those of all stages: a criterion counts only what it compares, and is asked nowhere."""
    record, timeline = samples.rolled_back()
    release = release_of(record)
    assert report.canary_requests(release, timeline) == timeline.points[-1].canary_requests == 1730
    assert "| canary requests | 1,730 |" in report.release_markdown(record, timeline)
    assert report.release_line(release, timeline).endswith("; 1,730 requests reached it")
    assert report.canary_requests(release) is None
    assert "reached it" not in report.release_line(release)
    assert "| canary requests | not counted |" in report.release_markdown(record)


def header_class(page: str) -> str | None:
    """The tone of a page's answer."""
    header = xml(page).find("body/main/header")
    assert header is not None
    return header.get("class")


def test_undecided_is_amber_and_says_so_and_a_bad_model_is_red() -> None:
    record, timeline = samples.undecided()
    page = report.release_html(record, timeline)
    assert header_class(page) == "doubt"
    assert headings(report.release_markdown(record, timeline))[0] == "Rolled back at stage 0 (10 %), undecided"
    assert "badge bad" not in page
    assert "mark bad" not in page
    verdict = release_of(record).verdicts[-1]
    assert header_class(report.verdict_html(verdict, "t")) == "doubt"
    assert report.verdict_markdown(verdict, "t").startswith("# Undecided: roll back")
    assert header_class(report.release_html(*samples.rolled_back())) == "bad"
    assert header_class(report.release_html(*samples.refused_by_validation())) == "bad"


def test_a_release_that_a_person_aborted_is_not_red() -> None:
    record, timeline = samples.promoted()
    release = release_of(record)
    aborted = Verdict(Decision.ROLLBACK, "aborted by ana", stage=2)
    stopped = replace(release, state=State.ROLLED_BACK, watched=(*release.watched[:2], aborted), verdicts=release.verdicts[:2])
    assert header_class(report.release_html(replace(record, release=stopped), timeline)) == "doubt"


def test_an_earlier_release_that_ended_undecided_is_amber() -> None:
    record, _ = samples.promoted()
    undecided, bad = (
        replace(record.history[0], run_id=why, state=State.ROLLED_BACK, reason=why) for why in ("undecided after 900 s", "errors")
    )
    page = report.release_html(replace(record, history=(undecided, bad)))
    rows = [row for row in xml(page).iter("tr") if "rolled back" in "".join(row.itertext())]
    assert [one.get("class") for row in rows for one in row.iter("span") if "badge" in (one.get("class") or "")] == [
        "badge doubt",
        "badge bad",
    ]


def test_what_does_not_decide_is_grey_whatever_it_found() -> None:
    interval = Interval(1.0, 2.0, 3.0)
    shown = [Evidence(f"q{i}", finding, "r", gating=False, interval=interval if i % 2 else None) for i, finding in enumerate(Finding)]
    page = report.look_html(Look("x", (*shown, Evidence("gate", Finding.PASS, "r"))), "t")
    badges = [one.get("class") for one in xml(page).iter("span") if "badge" in (one.get("class") or "")]
    assert sorted(badges) == ["badge good", *["badge plain"] * 4]
    assert not [
        one for one in xml(page).iter("svg") if (one.get("class") or "").startswith("plot interval") and "plain" not in one.get("class", "")
    ]


def test_a_run_that_was_refused_shows_its_refusal_and_nothing_of_the_other_release() -> None:
    record, timeline = samples.rolled_back()
    active = replace(record, release=replace(release_of(record), state=State.WATCHED, ended=None, reason=""))
    twin = report.release_markdown(active, timeline, samples.PAIRS, run_id="run-0010")
    assert twin.startswith("# Refused before it began\n\n**This run began no release and changed nothing;")
    assert "Release 'run-0009' is active, and a model has one active release at a time." in twin
    assert samples.CANDIDATE.digest not in twin
    assert "version 3" not in twin
    assert header_class(report.release_html(active, timeline, run_id="run-0010")) == "doubt"
    assert report.release_markdown(active, timeline, run_id="run-0009") == report.release_markdown(active, timeline)


@pytest.mark.parametrize("first", [False, True])
def test_a_run_that_was_refused_shows_the_reason_that_its_step_left(first: bool) -> None:
    """Also where nothing was ever released under the name."""
    record, timeline = samples.rolled_back()
    refusal = Refusal("run-0010", "digits: release 'run-0009' is active (watched); wait for its end", record.history[0].ended)
    refused = replace(record, release=None if first else record.release, refusals=(refusal,))
    twin = report.release_markdown(refused, timeline, run_id="run-0010")
    assert twin.startswith("# Refused before it began\n\n**This run began no release and changed nothing: digits: release 'run-0009' is")
    assert "the log of its first failed step" not in twin


def test_a_run_whose_release_was_followed_by_another_one_shows_its_own_end() -> None:
    record, timeline = samples.rolled_back()
    twin = report.release_markdown(record, timeline, run_id="run-0007")
    assert twin.startswith("# Promoted\n\n**Every criterion passed.**\n\nRun run-0007 of digits")
    assert "| candidate | version 2 |" in twin
    assert samples.CANDIDATE.digest not in twin


def test_alpha_and_e_values_are_in_a_fold_and_counts_are_not() -> None:
    root = xml(report.release_html(*samples.rolled_back()))
    folds = ["".join(fold.itertext()) for fold in root.iter("details")]
    (statistics,) = [fold for fold in folds if "Statistics: alpha and e-values" in fold]
    assert "e-value for rollback 812" in statistics
    for fold in list(root.iter("section")):
        for details in [one for one in fold.iter("details") if one in list(fold)]:
            fold.remove(details)
    seen = "".join(root.itertext())
    assert "e-value" not in seen
    assert "alpha spent" not in seen
    assert "canary errors 39 · canary requests 1,720" in seen


def failing_slices() -> Look:
    """A better mean, and one slice that got worse."""
    figures: dict[str, float | str] = {
        "slices": 2, "worse": 1, "slice country=DE": "-0.20 (-0.30 to -0.10)", "slice country=FR": "+0.05 (+0.01 to +0.09)",
    }  # fmt: skip
    reason = "worse in country=DE: -0.20 (-0.30 to -0.10); allowed -0.02"
    interval = Interval(0.01, 0.03, 0.05)
    accuracy = Evidence("predictions/accuracy", Finding.PASS, "accuracy is fine", unit="share", interval=interval, margin=-0.02)
    return Look("compare", (accuracy, Evidence("predictions/slices", Finding.FAIL, reason, figures=figures)))


def test_the_failing_slice_comes_first_with_a_table_of_the_slices() -> None:
    look = failing_slices()
    words = browser(report.look_html(look, "t")).words
    assert words.index("predictions/slices") < words.index("country=FR") < words.index("predictions/accuracy")
    twin = report.look_markdown(look, "t")
    assert "| Slice | Accuracy, canary minus stable |\n| --- | --- |\n| `country=DE` | \\-0.20 (-0.30 to -0.10) |" in twin


def test_drift_at_a_gate_names_each_column_with_its_share_of_rows() -> None:
    figures: dict[str, float | str] = {"columns": 7, "moved input.age": 0.174, "moved input.country": 0.02}
    look = Look("drift-0", (Evidence("drift/inputs", Finding.FAIL, "input.age: up to 40: 36 % against 53 %", figures=figures),))
    twin = report.look_markdown(look, "t")
    assert "| `input.age` | 17.4 % |" in twin
    assert "(columns 7)" in twin


def test_decisions_say_when_they_were_made_and_when_they_came_into_force() -> None:
    record, timeline = samples.rolled_back()
    twin = report.release_markdown(record, timeline)
    assert "against 24 of 4,330) (decided 12:13:30 UTC, in force 6 s later)" in twin
    root = xml(report.release_html(record, timeline))
    assert [one.get("cy") for one in root.iter("circle") if one.get("class") == "force bad" and one.get("cx", "").endswith("%")] == ["100%"]
    legends = ["".join(one.itertext()) for one in root.iter("div") if one.get("class") == "legend"]
    assert "decided" in legends
    assert "in force" in legends


def test_a_pause_says_its_time_with_the_zone() -> None:
    record, _ = samples.promoted()
    paused = weighing(replace(release_of(record), state=State.WATCHED, reason="", pause=Pause(samples.after(20))), 25)
    assert "A person paused it, since 2026-01-31 12:20:00 UTC" in report.release_line(paused)


def test_a_release_is_traced_to_its_export_commit_and_training_run() -> None:
    twin = report.release_markdown(*samples.promoted())
    for part in ("| Export | `gs://exports/digits/12` (sha256:3f91", "| Commit | `9c1f2e7` |", "| Training run | `train-digits-4711` |"):
        assert part in twin, part


def test_a_candidate_that_was_refused_before_it_was_pushed_is_known_by_its_export() -> None:
    record, _ = samples.refused_by_validation()
    assert report.release_line(release_of(record)).startswith("gs://exports/digits/12 refused before any traffic")
    line = release_of(record).line
    assert line
    assert (line.version, line.export.uri) == (None, "gs://exports/digits/12")
    later = replace(record, release=None, history=(line,))
    for twin in (as_markdown(history_page(record)), as_markdown(history_page(later)), report.release_markdown(later)):
        assert "| gs://exports/digits/12 | **refused**" in twin
        assert "version 0" not in twin
        assert "| 0 |" not in twin


def test_the_history_page_has_every_ended_release_the_newest_first() -> None:
    record, _ = samples.rolled_back()
    twin = as_markdown(history_page(record))
    assert twin.startswith("# 2 ended releases\n\n**No release is active.**")
    lines = [line for line in twin.splitlines() if line.startswith("| 2026-")]
    assert [line.split(" | ")[1] for line in lines] == ["version 3 (gs://exports/digits/12)", "version 2 (gs://exports/digits/11)"]
    assert "**rolled back** | 19 min 36 s | errors 4.1 times stable's" in lines[0]
    active = replace(record, release=replace(release_of(record), state=State.WATCHED, ended=None))
    assert "**Active: digits v3 watched at stage 2 (50 %).**" in as_markdown(history_page(active))
    assert "# 0 ended releases" in as_markdown(history_page(Record("digits", "1.0.0")))
