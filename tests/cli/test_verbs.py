"""What holds for every verb: help with an example and the exit codes, one sentence for nonsense, one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.test_cli import run
from tests.conftest import QUICK
from tests.fakes import World
from tfcanary import adapters, cli
from tfcanary.act import ledger
from tfcanary.adapters import local
from tfcanary.cli.verbs import SECTIONS
from tfcanary.core.domain import Look
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan


def verbs() -> Iterator[tuple[str, click.Command]]:
    """Every verb that people type, and those below a group of them."""
    for name, command in cli.tfcanary.commands.items():
        if command.hidden:
            continue
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())


NAMES = [name for name, _ in verbs()]
LEAVES = [name for name, command in verbs() if not isinstance(command, click.Group)]
WITHOUT_JSON = {"dashboard", "serve", "completion", "metrics", "trigger serve", "trigger watch"}
"""They answer no question: they serve until they are ended, or print what a program reads."""


@pytest.mark.parametrize("name", NAMES)
def test_the_help_has_an_example_and_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*name.split(), "--help") == 0
    said = capsys.readouterr().out
    assert f"Example:  tfcanary {name.split()[0]}" in said
    assert "xit 0" in " ".join(said.split())


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_is_one_sentence_and_exit_code_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*name.split(), "--nonsense") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert "--nonsense" in said.err
    assert "--help`" in said.err


@pytest.mark.parametrize("name", LEAVES)
def test_every_verb_that_answers_has_json(name: str) -> None:
    options = {option for parameter in dict(verbs())[name].params for option in parameter.opts}
    assert ("--json" in options) is (name not in WITHOUT_JSON)


def test_an_option_of_one_name_takes_the_same_everywhere_and_is_explained() -> None:
    taken: dict[str, set[str]] = {}
    for name, command in verbs():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.opts)
                for option in parameter.opts:
                    kind = "flag" if parameter.is_flag else parameter.metavar or parameter.type.name
                    taken.setdefault(option, set()).add(kind)
    assert {option: kinds for option, kinds in taken.items() if len(kinds) > 1} == {}


def test_the_overview_has_every_verb_in_one_line_of_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    below = lines[lines.index("Before a release:") :]
    shown = [line.split()[0] for line in below if line.startswith("  ") and line[2] != " "]
    tops = [name for name, one in cli.tfcanary.commands.items() if not one.hidden]
    assert sorted(shown) == sorted(tops)
    assert not [line for line in below if line.startswith("    ")]
    assert [title for title, _ in SECTIONS if f"{title}:" in lines][:3] == ["Before a release", "A release", "Afterwards"]


@pytest.mark.parametrize(("typed", "meant"), [("relaese", "release"), ("doctr", "doctor"), ("histroy", "history")])
def test_an_unknown_verb_is_answered_with_the_nearest(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed) == 2
    assert capsys.readouterr().err == f"tfcanary: there is no verb {typed!r}; did you mean {meant!r}? (see `tfcanary --help`)\n"
    assert run("xyzzy") == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.fixture
def there(world: World, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform with a release on the road, and the files that verbs read."""
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    monkeypatch.setattr(adapters, "models", lambda uri, patience=0.0: ("digits",))
    monkeypatch.setattr(adapters, "examine", lambda uri, wanted: Look("doctor"))
    monkeypatch.setattr(adapters, "adopt", lambda *args, **more: ())
    monkeypatch.setattr(local, "up", lambda folder, port: None)
    monkeypatch.setattr(local, "down", lambda folder: None)
    ledger.begin(world.platform(), plan, "run-1")
    (tmp_path / "plan.yaml").write_text(json.dumps(QUICK))
    (tmp_path / "rows.csv").write_text("a\n" + "1\n2\n3\n" * 50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FAKE, LOCAL = "--platform=fake://", "--platform=local:///x/state"
ASKED = {
    "up": [LOCAL],
    "down": [LOCAL],
    "doctor": [FAKE],
    "status": [FAKE, "digits"],
    "status of all": [FAKE],
    "history": [FAKE, "digits"],
    "report": [FAKE, "digits"],
    "abort": [FAKE, "digits"],
    "init": ["new.yaml", LOCAL],
    "plan": ["plan.yaml"],
    "adopt": [FAKE, "digits", "--deployment=d", "--version=1", "--model=m", "--plan=plan.yaml"],
    "drift": ["rows.csv", "rows.csv"],
    "profile": ["rows.csv", "--output=rows.profile"],
}


@pytest.mark.parametrize("asked", ASKED)
def test_json_is_one_object_with_a_finding_or_decision_and_reasons(asked: str, there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(asked.split()[0], *ASKED[asked], "--json")
    said = json.loads(capsys.readouterr().out)
    assert isinstance(said["reasons"], list)
    assert ("finding" in said) != ("decision" in said)
    assert said.get("finding") or said.get("decision")


def test_status_of_all_shows_each_model_and_one_that_cannot_be_read_hides_no_other(
    there: Path, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapters, "models", lambda uri: ("broken", "digits"))

    def opened(uri: str, model: str, plan: Plan) -> object:
        if model == "broken":
            raise Unavailable("broken: cannot be [red]read")
        return world.platform(model)

    monkeypatch.setattr(adapters, "open_platform", opened)
    monkeypatch.setenv("COLUMNS", "120")
    assert run("status", FAKE) == 0
    said = capsys.readouterr().out
    assert "digits" in said
    assert "open" in said
    assert "cannot be [red]read" in said
    assert run("status", FAKE, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"]["digits"]["decision"] == "open"
    assert found["unread"] == {"broken": "broken: cannot be [red]read"}


def test_watch_needs_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--watch", FAKE) == 2
    assert "name it" in capsys.readouterr().err


def completed(typed: str, position: int, folder: Path) -> list[str]:
    """What a shell is told; a process of its own, as a shell does it."""
    environment = {
        **os.environ,
        "_TFCANARY_COMPLETE": "zsh_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(position),
        "TFCANARY_PLATFORM": f"local://{folder}",
    }
    done = subprocess.run([sys.executable, "-m", "tfcanary"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.split("\n")[1::3]


@pytest.mark.slow
def test_a_shell_completes_verbs_and_names_of_models(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for name in ("digits", "ranking"):
        (tmp_path / "records" / f"{name}.json").write_text("{}")
    assert completed("tfcanary status di", 2, tmp_path) == ["digits"]
    assert completed("tfcanary rep", 1, tmp_path) == ["repair", "replay", "report"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_names_the_program_and_its_variable(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", shell) == 0
    said = capsys.readouterr().out
    assert "_TFCANARY_COMPLETE" in said
    assert f"{shell}_complete" in said


def test_names_are_not_completed_where_the_platform_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfcanary.cli import options

    def away(uri: str, patience: float) -> tuple[str, ...]:
        raise Unavailable("away")

    monkeypatch.setattr(adapters, "models", away)
    command = cli.tfcanary.commands["status"]
    assert options.models(click.Context(command), command.params[0], "d") == []


def test_a_plan_that_is_wrong_is_bad_input_for_the_doctor_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text("weigths: [5]")
    assert run("doctor", FAKE, "--plan", tmp_path / "plan.yaml") == 2
    assert run("doctor", "--platform", "nowhere://x") == 2
    assert "is no platform" in capsys.readouterr().err
