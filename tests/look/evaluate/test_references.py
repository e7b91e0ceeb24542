"""A profile as a file, inside a SavedModel, and on the command line."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfcanary.cli import main
from tfcanary.core.errors import Refused
from tfcanary.decide import drift
from tfcanary.decide.drift import to_bytes
from tfcanary.look.evaluate import references
from tfcanary.look.evaluate.sources import count, pieces
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.of_drift import drift_page


def rows(seed, shift=0.0, n=4_000):
    rng = np.random.default_rng(seed)
    return pa.table({"age": rng.normal(40 + 10 * shift, 10, n), "country": rng.choice(["DE", "FR"], n), "user": rng.integers(0, 900, n)})


@pytest.fixture
def folder(tmp_path):
    pq.write_table(rows(1), tmp_path / "train.parquet")
    pq.write_table(rows(2), tmp_path / "same.parquet")
    pq.write_table(rows(3, shift=0.6), tmp_path / "older.parquet")
    pq.write_table(rows(4, n=40), tmp_path / "few.parquet")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"")
    return tmp_path


def run(*arguments):
    try:
        main([str(a) for a in arguments])
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize(("current", "code"), [("same", 0), ("older", 1), ("few", 3), ("missing", 2)])
def test_the_exit_code_says_whether_there_is_drift(folder, current, code):
    assert run("drift", folder / "train.parquet", folder / f"{current}.parquet") == code


def test_json_has_a_finding_and_reasons_for_each_column(folder, capsys):
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["finding"], said["n_reference"]) == ("fail", 4_000)
    age = said["columns"]["age"]
    assert age["finding"] == "fail"
    assert age["effect"] == pytest.approx(0.236, abs=0.03)
    assert (age["n_reference"], age["n_current"]) == (4_000, 4_000)
    assert "of rows moved" in age["reasons"][0]
    assert said["columns"]["country"]["finding"] == "pass"
    assert said["reasons"][0].startswith("age: ")


def test_the_plan_and_the_options_choose_columns_entity_and_weight(folder, capsys):
    plan = folder / "plan.yaml"
    plan.write_text("drift: {columns: [age], importance: {age: 0.1}}\n")
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--plan", plan, "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["columns"]) == ["age"]
    plan.write_text("drift: {importance: {aeg: 2}}\n")
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--plan", plan) == 2
    assert "importance: there is no column 'aeg'; there are age, country, user" in capsys.readouterr().err
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--entity", "user", "--columns", "age,country") == 1
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--columns", "country") == 0


def test_a_model_brings_its_own_reference(folder, capsys):
    assert run("drift", folder / "model", folder / "same.parquet") == 2
    assert "the model carries no reference; `tfcanary profile DATA --into" in capsys.readouterr().err
    assert run("profile", folder / "train.parquet", "--into", folder / "model", "-o", folder / "reference.profile") == 0
    assert (folder / "model" / references.PATH_IN_MODEL).read_bytes() == (folder / "reference.profile").read_bytes()
    assert "4,000 rows, 3 columns" in capsys.readouterr().err
    for reference in ("model", "reference.profile"):
        assert run("drift", folder / reference, folder / "same.parquet") == 0
        assert run("drift", folder / reference, folder / "older.parquet") == 1
    carried = references.read_from_model(folder / "model")
    assert to_bytes(carried) == to_bytes(count(pieces(folder / "train.parquet")))


def test_a_profile_that_was_counted_without_the_entity_is_refused(folder, capsys):
    profile = folder / "reference.profile"
    assert run("profile", folder / "train.parquet", "-o", profile) == 0
    assert run("drift", profile, folder / "same.parquet", "--entity", "user") == 2
    assert "reference.profile: the profile was counted without an entity; count it again with --entity user" in capsys.readouterr().err
    assert run("profile", folder / "train.parquet", "-o", profile, "--entity", "user") == 0
    assert run("drift", profile, folder / "same.parquet", "--entity", "user") == 0
    assert run("drift", profile, folder / "same.parquet") == 0
    assert run("drift", profile, folder / "same.parquet", "--entity", "age") == 2
    assert "was counted with the entity 'user'; count it again with --entity age" in capsys.readouterr().err


def test_what_cannot_be_a_reference_is_refused(folder, capsys):
    assert run("profile", folder / "train.parquet") == 2
    assert run("profile", folder / "train.parquet", "--into", folder) == 2
    assert "holds no saved_model.pb" in capsys.readouterr().err
    assert run("profile", folder / "train.parquet", "--into", "gs://models/1") == 2
    (folder / "old.profile").write_bytes(b"tfcanary drift 1\n....")
    with pytest.raises(Refused, match=r"old.profile: no drift profile of this version"):
        references.read_stored(folder / "old.profile")
    pq.write_table(rows(1, n=0), folder / "empty.parquet")
    assert run("profile", folder / "empty.parquet", "-o", folder / "x") == 2


def test_the_page_is_sorted_by_effect_and_loads_nothing(folder):
    page = folder / "drift.html"
    assert run("drift", folder / "train.parquet", folder / "older.parquet", "--html", page) == 1
    text = page.read_text()
    assert text.index("<code" if "<code>age" in text else "age") < text.index("country")
    assert "Drift</h1>" in text
    assert text.count("<svg role=") + text.count('class="plot histogram"') >= 3
    assert not re.search(r"<script|https?://|src=", text)
    assert "prefers-color-scheme: dark" in text


def test_names_and_values_cannot_inject_into_the_page():
    table = pa.table({"<script>alert(1)</script>": ["<img src=x>"] * 500 + ["b"] * 500})
    first = drift.profile(table.to_batches())
    compared = drift.compare(first, drift.profile(table.slice(400).to_batches(), first.layout))
    page = drift_page(compared, "<b>")
    for text in (as_html(page), as_markdown(page)):
        assert "<script" not in text
        assert "<img" not in text
