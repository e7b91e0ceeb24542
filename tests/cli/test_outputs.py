"""Files that verbs write are checked before anything happens, and whatever goes wrong with them is one sentence."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.test_cli import run
from tests.cli.test_verbs import LEAVES, verbs
from tests.conftest import QUICK
from tests.fakes import World
from tests.look.savedmodel.family import family
from tests.run.submit.test_handle import of, promoted_record
from tfcanary import adapters
from tfcanary.__main__ import report_fault
from tfcanary.act import ledger, rollback
from tfcanary.adapters import local
from tfcanary.cli import outputs
from tfcanary.cli import release as release_verb
from tfcanary.core.plan import Plan
from tfcanary.run.submit import progress

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Whatever platform is named, it is this world."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))


def one_sentence(capsys: Captured) -> str:
    """The single line that a verb printed on stderr."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("tfcanary: ")
    return line


def options_of(name: str) -> list[click.Option]:
    return [one for one in dict(verbs())[name].params if isinstance(one, click.Option)]


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps(QUICK))
    return path


def test_a_release_whose_report_cannot_be_written_does_not_begin(
    world: World, plan_file: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_verb, "submit_release", lambda *arguments: pytest.fail("the release began"))
    command = ("release", family() / "good", "--name", "digits", "--plan", plan_file, "--platform", "fake://", "--html")
    assert run(*command, tmp_path / "none" / "report.html") == 2
    assert "none/report.html: cannot be written (No such file or directory)" in one_sentence(capsys)
    assert run(*command, tmp_path) == 2
    assert "cannot be written (Is a directory)" in one_sentence(capsys)
    assert ledger.read(world.platform()).release is None


def test_every_option_for_a_file_that_is_written_is_checked_while_it_is_parsed() -> None:
    checked = {name: [one.name for one in options_of(name) if one.callback is outputs.check_writable] for name in LEAVES}
    assert {name: found for name, found in checked.items() if found} == {
        "release": ["html"],
        "report": ["html"],
        "plan": ["html"],
        "replay": ["html"],
        "drift": ["html"],
        "profile": ["output"],
        "history": ["html"],
    }
    assert all("html" not in [one.name for one in options_of(name)] or checked[name] for name in LEAVES)


def test_the_check_neither_changes_a_file_nor_leaves_one(tmp_path: Path) -> None:
    option = next(one for one in options_of("release") if one.name == "html")
    context = click.Context(dict(verbs())["release"])
    (tmp_path / "old.html").write_text("old")
    for name in ("old.html", "new.html"):
        assert outputs.check_writable(context, option, tmp_path / name) == tmp_path / name
    assert (tmp_path / "old.html").read_text() == "old"
    assert not (tmp_path / "new.html").exists()


def test_a_link_stays_a_link_and_its_target_is_written(plan_file: Path, tmp_path: Path) -> None:
    """Also where the target does not exist yet, and the check leaves none behind."""
    link, target = tmp_path / "link.html", tmp_path / "pages" / "page.html"
    target.parent.mkdir()
    link.symlink_to(target)
    option = next(one for one in options_of("release") if one.name == "html")
    assert outputs.check_writable(click.Context(dict(verbs())["release"]), option, link) == link
    assert link.is_symlink()
    assert list(target.parent.iterdir()) == []
    assert run("plan", plan_file, "--rate", 20, "--html", link) == 0
    assert link.is_symlink()
    assert target.read_text().startswith("<!DOCTYPE html>")


def test_a_release_that_is_interrupted_leaves_its_page(
    world: World, plan_file: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = world.platform()
    ledger.begin(platform, Plan(), "run-1")
    handle = of(world, ledger.read(platform))
    monkeypatch.setattr(release_verb, "submit_release", lambda *arguments, **more: handle)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "show", interrupted)
    page = tmp_path / "page.html"
    command = ("release", family() / "good", "--name", "digits", "--plan", plan_file, "--platform", "fake://", "--html", page)
    assert run(*command) == 3
    assert "aborted: interrupted in the terminal" in page.read_text()
    assert f"report written to {page}" in capsys.readouterr().err


def test_a_pipe_is_not_opened_by_the_check(tmp_path: Path) -> None:
    """Its reader would see the end of the file."""
    os.mkfifo(tmp_path / "pipe")
    option = next(one for one in options_of("release") if one.name == "html")
    assert outputs.check_writable(click.Context(dict(verbs())["release"]), option, tmp_path / "pipe") == tmp_path / "pipe"


def test_a_full_disk_is_one_sentence_and_exit_3(world: World, plan: Plan, capsys: Captured) -> None:
    ledger.begin(world.platform(), plan, "run-1")
    rollback.roll_back(world.platform(), "run-1", "the page went off")
    assert run("report", "digits", "--platform", "fake://", "--html", "/dev/full") == 3
    assert one_sentence(capsys) == "tfcanary: /dev/full: cannot be written (No space left on device)"


def test_a_promoted_release_whose_report_does_not_fit_on_the_disk_still_ends_with_exit_0(
    world: World, plan_file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = of(world, promoted_record(lambda release: release))
    monkeypatch.setattr(release_verb, "submit_release", lambda *arguments, **more: handle)
    command = ("release", family() / "good", "--name", "digits", "--plan", plan_file, "--platform", "fake://")
    assert run(*command, "--html", "/dev/full") == 0
    said = capsys.readouterr()
    assert "its report was not written: /dev/full: cannot be written (No space left on device)" in said.err
    assert "promoted" in said.out


@pytest.mark.parametrize(("suffix", "begins"), [("html", "<!DOCTYPE html>"), ("md", "# ")])
def test_a_page_is_markdown_where_its_name_says_so(plan_file: Path, tmp_path: Path, suffix: str, begins: str) -> None:
    page = tmp_path / f"page.{suffix}"
    assert run("plan", plan_file, "--rate", 20, "--html", page) == 0
    assert page.read_text().startswith(begins)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/state"), 2),
        (OSError(errno.EROFS, "Read-only file system", "/srv/state"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "/srv/state"), 3),
    ],
)
def test_a_state_folder_that_cannot_be_used_is_one_sentence(
    error: OSError, code: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(local, "up", up)
    assert run("up", "--platform", "local:///srv/state") == code
    assert one_sentence(capsys) == f"tfcanary: /srv/state: {error.strerror}"


def test_a_state_folder_below_a_file_is_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    assert run("up", "--platform", f"local://{tmp_path}/file/state") == 2
    assert "Not a directory" in one_sentence(capsys)


@pytest.mark.parametrize(("module", "extra"), [("tensorflow", "[local]"), ("uvicorn", "[local]"), ("yaml", "")])
def test_a_missing_module_is_one_sentence_that_says_what_to_install(
    module: str, extra: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(*arguments: Any) -> None:
        raise ModuleNotFoundError(f"No module named '{module}.sub'", name=f"{module}.sub")

    monkeypatch.setattr(local, "up", up)
    assert run("up", "--platform", "local:///srv/state") == 2
    assert one_sentence(capsys) == f"tfcanary: the module {module!r} is not installed: pip install 'tfcanary{extra}'"


def test_serve_without_the_extra_says_so_before_it_prints_anything_else(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("serve", family() / "good", "--name", "digits") == 2
    assert one_sentence(capsys) == "tfcanary: the module 'tensorflow' is not installed: pip install 'tfcanary[local]'"


def test_a_document_that_is_nested_too_deeply_is_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "plan.yaml").write_text("weights: " + "[" * 20_000)
    assert run("plan", tmp_path / "plan.yaml") == 2
    assert one_sentence(capsys) == "tfcanary: the input is nested too deeply"


def test_what_is_no_number_or_empty_is_said_plainly(plan_file: Path, capsys: Captured) -> None:
    assert run("plan", plan_file, "--rate", "abc") == 2
    assert "'abc' is no number" in one_sentence(capsys)
    assert run("up", "--port", "abc") == 2
    assert "'abc' is no whole number" in one_sentence(capsys)
    assert run("validate", "") == 2
    assert "the path is empty" in one_sentence(capsys)


def test_a_host_that_is_away_is_one_sentence_without_the_tries_before_it(capsys: Captured, caplog: pytest.LogCaptureFixture) -> None:
    assert run("upload", "--host", "http://127.0.0.1:1", "--image", "registry.example/tfcanary:1") == 3
    assert "KFP at http://127.0.0.1:1 cannot be reached" in one_sentence(capsys)
    assert caplog.records == []


def test_an_empty_plan_is_said_to_be_empty(plan_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan_file.write_text("# nothing yet\n")
    assert run("plan", plan_file) == 0
    assert caplog.messages == [f"{plan_file}: is empty, which is a plan of the defaults"]


def test_columns_that_neither_side_has_are_bad_input(tmp_path: Path, capsys: Captured) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n" + "1\n2\n3\n" * 50)
    assert run("drift", rows, rows, "--columns", "b,c") == 2
    assert one_sentence(capsys).endswith("have no column b, c")


def test_a_fault_of_tfcanary_itself_is_no_verdict_on_a_candidate() -> None:
    """Python would end with 1, which means refused or rolled back."""
    code = "from tfcanary import __main__, cli\ncli.main = lambda: 1 / 0\n__main__.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    said = re.fullmatch(
        r"tfcanary: ZeroDivisionError: division by zero: this is a fault of tfcanary; please report it with the file (\S+)\n", done.stderr
    )
    assert said, "one sentence, and no traceback"
    file = Path(said[1])
    assert "Traceback (most recent call last)" in file.read_text()
    file.unlink()


def test_a_fault_whose_traceback_cannot_be_kept_is_one_sentence_too(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/does/not/exist")
    with pytest.raises(SystemExit) as ended:
        report_fault(ValueError, ValueError("of two\nlines"), None)
    assert ended.value.code == 3
    said = "ValueError: of two lines: this is a fault of tfcanary; please report it; its traceback could not be written"
    assert one_sentence(capsys) == f"tfcanary: {said} (No such file or directory)"


def required(name: str) -> list[str]:
    return [one.opts[0] for one in options_of(name) if one.required]


@pytest.mark.parametrize("name", [name for name in LEAVES if required(name)])
def test_a_missing_option_is_named_and_is_exit_2(name: str, capsys: Captured) -> None:
    """With every version of click: some do not miss an option whose default is None."""
    command = dict(verbs())[name]
    arguments = ["x" for one in command.params if isinstance(one, click.Argument) and one.required]
    for missing in required(name):
        others = [word for option in required(name) if option != missing for word in (option, "1")]
        assert run(*name.split(), *arguments, *others) == 2
        assert one_sentence(capsys).startswith(f"tfcanary: Missing option '{missing}'")


def test_names_are_required_where_a_verb_needs_one() -> None:
    assert [name for name in LEAVES if "--name" in required(name)] == ["release", "trigger watch", "serve"]
