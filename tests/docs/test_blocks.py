"""What a reader copies out of a document works: plans decode, commands parse, Python compiles."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import Any, get_type_hints

import click
import pytest
import yaml

from docs.plan_tables import NAMED, leads_to
from tests.docs.documents import FILES, ROOT, Place, all_blocks, commands, filled
from tfcanary.cli import tfcanary
from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

PARTS = {one.name for one in fields(Plan)}
OTHERS = {"apiVersion", "spec", "labels", "name", "models", "receivers", "scrape_configs"}
"""What a YAML block has that is no plan: of Kubernetes and kustomize, of Envoy, a trigger's settings, of Alertmanager and Prometheus."""
SHELL = ("", "console", "sh", "bash", "shell")


def documents(place: Place) -> list[Any]:
    return [one for one in yaml.safe_load_all(filled(place.block.text)) if one is not None]


@pytest.mark.parametrize("place", all_blocks("yaml", "yml"), ids=str)
def test_every_yaml_block_is_a_plan_that_decodes_or_says_what_else_it_is(place: Place) -> None:
    for document in documents(place):
        if PARTS & set(document) and "apiVersion" not in document:
            assert codec.decode(Plan, document, at=str(place))
        else:
            assert OTHERS & set(document), f"{place}: neither a plan nor an object"


def test_a_plan_with_a_wrong_key_would_be_noticed() -> None:
    with pytest.raises(Refused, match="did you mean 'minimum'"):
        codec.decode(Plan, yaml.safe_load("stage: {minimun: 5m}"), at="plan.yaml")


@pytest.mark.parametrize("place", all_blocks("python"), ids=str)
def test_every_python_block_compiles(place: Place) -> None:
    ast.parse(place.block.text)


CALLS = [(place, arguments) for place in all_blocks(*SHELL) for arguments in commands(filled(place.block.text))]


@pytest.mark.parametrize(("place", "arguments"), CALLS, ids=lambda one: one if isinstance(one, str) else " ".join(map(str, [one]))[:90])
def test_every_command_has_a_verb_and_options_that_exist(place: Place, arguments: list[str]) -> None:
    parse(tfcanary, arguments)


def parse(group: click.Command, arguments: list[str]) -> None:
    """As click does before it runs anything; raises click's own error where a verb, an option or a value does not fit."""
    if not isinstance(group, click.Group):
        return
    context = click.Context(group, info_name="tfcanary")
    name, command, rest = group.resolve_command(context, arguments)
    assert command is not None
    if isinstance(command, click.Group):
        parse(command, rest)
    else:
        command.make_context(name, rest, parent=context)


WRONG = ("relaese exports/v2", "abort digits --platfrom x", "abort", "release m --name digits", "up --port x")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_command_with_a_mistake_would_be_noticed(wrong: str) -> None:
    with pytest.raises(click.UsageError):
        parse(tfcanary, wrong.split())


SERVERS = [line for place in all_blocks(*SHELL) for line in place.block.text.splitlines() if line.startswith("tfcanary-model-server ")]


def test_every_command_line_of_the_model_server_has_flags_that_exist() -> None:
    from tfcanary.tf import modelserver

    assert SERVERS
    for line in SERVERS:
        _, warnings = modelserver.parse(line.split()[1:])
        assert not warnings


def test_commands_are_found_where_they_stand() -> None:
    text = """
    $ tfcanary plan plan.yaml --rate 2   # weights: [5]
    tfcanary status digits        tfcanary abort digits
    tfcanary release gs://m --name digits \\
        --plan "a plan.yaml" [--json]
    kubectl apply -k deploy/ && tfcanary doctor
    eval "$(_TFCANARY_COMPLETE=bash_source tfcanary)"
    """
    assert list(commands(text)) == [
        ["plan", "plan.yaml", "--rate", "2"],
        ["status", "digits"],
        ["abort", "digits"],
        ["release", "gs://m", "--name", "digits", "--plan", "a plan.yaml", "--json"],
        ["doctor"],
    ]


FIELD = re.compile(r"`([a-z_]+(?:\.[a-z_<>]+)+)(?:: [^`]*)?`")
NOTICES = {"stage.advanced", "stage.awaits_approval", "drift.world"}
"""Written like fields: what is told to receivers (docs/notifications.md)."""
FILE_NAMES = re.compile(r"\.(md|py|yaml|html|json|jsonl|parquet|profile|svg|png|txt|pb|sh)$")


def mentioned() -> list[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for file in FILES:
        text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        paths = (
            path for path in FIELD.findall(text) if path.split(".")[0] in PARTS and path not in NOTICES and not FILE_NAMES.search(path)
        )
        found.update((str(file.relative_to(ROOT)), path) for path in paths)
    return sorted(found)


@pytest.mark.parametrize(("file", "path"), mentioned(), ids=str)
def test_every_field_that_a_document_names_exists(file: str, path: str) -> None:
    assert exists(path)


def test_a_field_that_does_not_exist_would_be_noticed() -> None:
    assert exists("judge.objectives.<name>.events")
    assert not exists("stage.minimun")
    assert not exists("weights.first")


def exists(path: str) -> bool:
    kind: Any = Plan
    for name in path.split("."):
        part, several = leads_to(kind)
        if name == "<name>":
            if several != NAMED:
                return False
        elif part is None or name not in get_type_hints(part):
            return False
        else:
            kind = get_type_hints(part)[name]
    return True
