import pytest

from tests.look.savedmodel.asked import ask, refuses
from tfcanary.core.domain import Finding
from tfcanary.look.savedmodel import SignatureFact, TensorFact
from tfcanary.look.savedmodel.compatible import accepts, differences


def test_the_sentence_says_what_stable_takes_and_what_the_candidate_wants(models):
    evidence = ask(models / "square", "compatible", models / "stable")
    assert evidence.finding is Finding.FAIL
    assert evidence.reason.startswith("input 'image': stable takes float32 [?,64], the candidate wants float32 [?,8,8]. Keep the stable")


def test_real_exports_that_would_break_clients_fail(models):
    refuses(ask(models / "two_outputs", "compatible", models / "stable"), "'hidden'", "second output", "REST")
    refuses(ask(models / "two_inputs", "compatible", models / "stable"), "'weight'", "requires")
    refuses(ask(models / "stable", "compatible", models / "two_outputs"), "'hidden'", "no such output")
    assert ask(models / "good", "compatible", models / "stable").finding is Finding.PASS


def tensor(text: str) -> TensorFact:
    dtype, _, sizes = text.partition(" ")
    return TensorFact(dtype, None if sizes == "any" else tuple(None if s == "?" else int(s) for s in sizes.split(",") if s), "x:0")


def signature(inputs, outputs, defaults=(), method="predict"):
    asked, answered = ({name: tensor(text) for name, text in side.items()} for side in (inputs, outputs))
    return SignatureFact(asked, answered, method, frozenset(defaults))


STABLE = signature({"a": "float32 ?,4"}, {"y": "float32 ?,2"})


@pytest.mark.parametrize(
    "candidate",
    [
        STABLE,
        signature({"a": "float32 any"}, {"y": "float32 ?,2"}),
        signature({"a": "float32 ?,?"}, {"y": "float32 ?,2"}),
        signature({"a": "float32 any"}, {"y": "float32 ?,2"}, defaults=["a"]),
    ],
)
def test_a_candidate_that_takes_more_or_answers_as_promised_is_compatible(candidate):
    assert not list(differences("serving_default", STABLE, candidate))


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (None, "the stable model has it, the candidate does not"),
        (
            signature({"b": "float32 ?,4"}, {"y": "float32 ?,2"}),
            "is called 'b' in the candidate: REST requests that do not name it still work",
        ),
        (signature({"b": "float32 ?,5"}, {"y": "float32 ?,2"}), "no such input"),
        (signature({"a": "float64 ?,4"}, {"y": "float32 ?,2"}), "stable takes float32 [?,4], the candidate wants float64 [?,4]"),
        (signature({"a": "float32 1,4"}, {"y": "float32 ?,2"}), "wants float32 [1,4]"),
        (signature({"a": "float32 ?,4", "b": "int32 ?"}, {"y": "float32 ?,2"}), "requires int32 [?]"),
        (signature({"a": "float32 ?,4", "b": "int32 ?"}, {"y": "float32 ?,2"}, defaults=["b"]), "second input"),
        (signature({"a": "float32 ?,4"}, {"z": "float32 ?,2"}), "is called 'z' in the candidate: REST answers do not name it"),
        (signature({"a": "float32 ?,4"}, {"z": "float32 ?,2", "w": "int64 ?"}), "no such output"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 5,2"}), "does not have one row for each row of a request"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 ?,3"}), "stable gives float32 [?,2], the candidate gives float32 [?,3]"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 ?"}), "gives float32 [?]"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 any"}), "of any rank"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 ?,2", "z": "int64 ?"}), "second output"),
        (signature({"a": "float32 ?,4"}, {"y": "float32 ?,2"}, method="classify"), "method name"),
    ],
)
def test_a_candidate_that_breaks_a_request_of_today_is_named(candidate, words):
    problems = list(differences("serving_default", STABLE, candidate))
    assert len([one for one in problems if words in one.sentence]) == 1, problems


def test_a_single_output_with_another_name_is_no_second_output():
    renamed = list(differences("serving_default", STABLE, signature({"a": "float32 ?,4"}, {"output_0": "float32 ?,2"})))
    assert [one.finding for one in renamed] == [Finding.FAIL]
    assert "second output" not in renamed[0].sentence
    other = list(differences("serving_default", STABLE, signature({"a": "float32 ?,4"}, {"output_0": "int64 ?,2"})))
    assert "gives int64 [?,2]" in other[1].sentence


@pytest.mark.parametrize(
    ("stable", "candidate", "finding"),
    [
        (signature({"a": "float32 1,4"}, {"y": "float32 1,2"}), STABLE, Finding.PASS),
        (signature({"a": "float32 1,4"}, {"y": "float32 1,3"}), STABLE, Finding.FAIL),
        (signature({"a": "float32 1,4"}, {"y": "float32 7,2"}), STABLE, Finding.FAIL),
        (signature({"a": "float32 4"}, {"y": "float32 2"}), signature({"a": "float32 4"}, {"y": "float32 ?"}), Finding.FAIL),
        (STABLE, signature({"a": "float32 1,4"}, {"y": "float32 1,2"}), Finding.FAIL),
    ],
    ids=["mended", "another width", "rows of something else", "without a batch", "narrowed"],
)
def test_a_candidate_that_frees_a_fixed_batch_breaks_nobody(stable, candidate, finding):
    assert {one.finding for one in differences("serving_default", stable, candidate)} == {finding}


def test_an_output_without_a_batch_may_stay_so():
    constant = signature({"a": "float32 ?,4"}, {"y": "float32 ?,2", "names": "string 5"})
    assert not list(differences("serving_default", constant, constant))
    whole = signature({"a": "float32 4"}, {"y": "float32 ?"})
    assert not list(differences("serving_default", whole, signature({"a": "float32 4"}, {"y": "float32 5"})))


def test_a_third_output_breaks_nobody():
    wide = signature({"a": "float32 ?"}, {"x": "float32 ?", "y": "float32 ?"})
    wider = signature({"a": "float32 ?"}, {"x": "float32 ?", "y": "float32 ?", "z": "float32 ?"})
    assert not list(differences("serving_default", wide, wider))


def test_an_input_that_may_be_left_out_stays_so():
    today = signature({"a": "float32 ?", "b": "int32 ?"}, {"y": "float32 ?"}, defaults=["b"])
    problems = list(differences("serving_default", today, signature({"a": "float32 ?", "b": "int32 ?"}, {"y": "float32 ?"})))
    assert "may leave it out" in problems[0].sentence


@pytest.mark.parametrize(
    ("wide", "narrow", "fits"),
    [
        (None, (1,), True),
        ((1,), None, False),
        (None, None, True),
        ((None,), (3,), True),
        ((3,), (None,), False),
        ((), (), True),
        ((None,), (), False),
    ],
)
def test_which_shapes_fit_into_which(wide, narrow, fits):
    assert accepts(wide, narrow) is fits
