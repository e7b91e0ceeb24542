import os
import shutil

import pytest

from tests.look.savedmodel.asked import ask, refuses
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check, manifest, tree
from tfcanary.look.trial import validate


def test_a_copy_of_a_model_has_the_same_digest(models, copy):
    assert manifest(models / "good") == manifest(copy("good"))


@pytest.mark.parametrize("name", ["good", "words"])
def test_every_byte_is_in_the_digest(copy, name):
    model = copy(name)
    before = manifest(model)
    for file in before.files:
        content = (model / file.name).read_bytes()
        (model / file.name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert manifest(model).digest != before.digest, file.name
        (model / file.name).write_bytes(content)
    assert manifest(model) == before


def test_every_name_is_in_the_digest(copy):
    model = copy("good")
    (model / "assets").mkdir(exist_ok=True)
    (model / "assets/one").write_bytes(b"x")
    before = manifest(model).digest
    (model / "assets/one").rename(model / "assets/two")
    assert manifest(model).digest != before


def test_bytes_that_move_from_one_file_to_the_next_change_the_digest(copy):
    model = copy("good")
    (model / "assets").mkdir(exist_ok=True)
    digests = set()
    for first, second in ((b"ab", b"c"), (b"a", b"bc")):
        (model / "assets/1").write_bytes(first)
        (model / "assets/2").write_bytes(second)
        digests.add(manifest(model).digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such directory"),
        (lambda path: path.write_text("model"), "is a file"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: (path / "variables").mkdir(parents=True), "no saved_model.pb"),
    ],
)
def test_what_is_no_saved_model_is_refused(tmp_path, make, words):
    make(tmp_path / "model")
    with pytest.raises(Refused, match=words):
        manifest(tmp_path / "model")


def test_a_folder_of_versions_is_refused_and_the_version_named(models, tmp_path):
    shutil.copytree(models / "good", tmp_path / "mnist/7")
    with pytest.raises(Refused, match="did you mean '7'"):
        manifest(tmp_path / "mnist")


def plant(name):
    def planted(model):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"x")

    return planted


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda model: (model / "more").symlink_to("/etc"), "is a link"),
        (lambda model: (model / "link").symlink_to(model / "saved_model.pb"), "is a link"),
        (lambda model: os.mkfifo(model / "pipe"), "neither a file"),
        (plant(".hidden"), "starts with a dot"),
        (plant("assets/.hidden"), "starts with a dot"),
        (plant("saved_model.pbtxt"), "could read another model"),
        (plant("saved_model.cpb"), "could read another model"),
        (plant("model.tflite"), "prefer_tflite_model"),
        (plant("assets.extra/saved_model_config.pb"), "session options"),
        (plant("new\nline"), "do not survive"),
        (plant("back\\slash"), "do not survive"),
        (lambda model: (model / "/".join("abcdefghijklmnopqr")).mkdir(parents=True), "deeper than 16"),
        (lambda model: os.close(os.open(bytes(model) + b"/\xff", os.O_CREAT)), "not UTF-8"),
    ],
)
def test_a_tree_that_others_could_read_differently_fails(copy, break_it, words):
    model = copy()
    break_it(model)
    refuses(ask(model, "tree"), words)


def test_a_model_in_text_form_alone_fails_although_a_server_would_load_it(copy):
    model = copy()
    (model / "saved_model.pb").rename(model / "saved_model.pbtxt")
    refuses(ask(model, "tree"), "could read another model")


def test_a_file_that_nobody_knows_is_shown_and_passes(copy):
    model = copy()
    (model / "README.md").write_text("trained on Tuesday")
    evidence = ask(model, "tree")
    assert evidence.finding is Finding.WARN
    assert "'README.md'" in evidence.reason


def test_what_cannot_be_copied_is_not_in_the_manifest(copy):
    model = copy()
    before = manifest(model)
    (model / "link").symlink_to("/etc/passwd")
    (model / "folder").symlink_to("/etc/ssl")
    assert manifest(model) == before


@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "assets/words.txt"])
@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (2**40, "has 1,099,511,627,776 bytes, and all files have 1,099,5"),
        (2**35, "is sparse: it has 34,359,738,368 bytes, of which the disk holds "),
    ],
)
def test_a_file_that_would_be_hashed_for_minutes_is_refused_before_a_byte_is_read(copy, monkeypatch, name, size, sentence):
    model = copy()
    (model / name).parent.mkdir(exist_ok=True)
    with (model / name).open("ab") as file:
        file.truncate(size)
    monkeypatch.setattr(tree, "_sha256", None)  # whoever hashes or reads a file anyway would not end
    with pytest.raises(Refused, match=f"'{name}' {sentence}") as error:
        manifest(model)
    assert "at most 1,073,741,824 may be missing" in str(error.value) or "at most 274,877,906,944 are read" in str(error.value)
    refuses(ask(model, "tree"), f"'{name}' {sentence}")
    look = check(model, ValidationPlan(), None)
    assert ("savedmodel/variables", "not checked: the files are too large to be read") in {(one.about, one.reason) for one in look.absent}
    assert validate(model, ValidationPlan(), None).finding is Finding.FAIL


def test_small_holes_are_hashed_like_other_bytes(copy):
    model = copy()
    (model / "assets").mkdir(exist_ok=True)
    for name, write in (("sparse", lambda file: file.truncate(2**20)), ("full", lambda file: file.write(bytes(2**20)))):
        with (model / "assets" / name).open("wb") as file:
            write(file)
    sparse, full = (next(one for one in manifest(model).files if one.name == f"assets/{name}") for name in ("sparse", "full"))
    assert (sparse.size, sparse.sha256) == (full.size, full.sha256)
