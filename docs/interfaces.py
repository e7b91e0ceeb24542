"""The inputs and outputs of a component as tables, in the words of its `component.py`, which the Kubeflow UI shows, too."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from docs.markdown import cell, table

KINDS = {
    "str": "text",
    "int": "whole number",
    "bool": "true or false",
    "dict": "object",
    "list": "list",
    "dsl.OutputPath(str)": "text",
    "dsl.Input[dsl.Artifact]": "artifact",
    "dsl.Input[list[dsl.Artifact]]": "list of artifacts",
    "dsl.Output[dsl.Artifact]": "artifact",
    "dsl.Output[dsl.HTML]": "page",
    "dsl.Output[dsl.Markdown]": "Markdown",
    "dsl.Output[dsl.Metrics]": "metrics",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a component's function."""

    name: str
    kind: str
    default: str | None
    meaning: str

    @property
    def leaves(self) -> bool:
        """Whether it is an output."""
        return self.kind.startswith("dsl.Output")


def interface(component: Path) -> str:
    """Two tables: what goes in, what comes out; the unnamed output, which gates read, first."""
    function = _function(component)
    said = ast.get_docstring(function) or ""
    inputs, outputs = [], [("`Output`", "text", cell(_returns(said)))]
    for one in _parameters(function, said):
        if one.leaves:
            outputs.append((f"`{one.name}`", KINDS[one.kind], cell(one.meaning)))
        else:
            inputs.append((f"`{one.name}`", KINDS[one.kind], f"`{one.default}`" if one.default else "**required**", cell(one.meaning)))
    first = table(("input", "value", "default", "what it is"), inputs)
    return f"{first}\n{table(('output', 'value', 'what it is'), outputs)}".rstrip()


def _function(component: Path) -> ast.FunctionDef:
    body = ast.parse(component.read_text(encoding="utf-8")).body
    return next(one for one in body if isinstance(one, ast.FunctionDef) and one.name == component.parent.name)


def _parameters(function: ast.FunctionDef, said: str) -> list[Parameter]:
    named = function.args.args
    defaults: list[ast.expr | None] = [None] * (len(named) - len(function.args.defaults)) + [*function.args.defaults]
    return [
        Parameter(one.arg, ast.unparse(one.annotation) if one.annotation else "", _default(default), _meaning(said, one.arg))
        for one, default in zip(named, defaults, strict=True)
    ]


def _default(default: ast.expr | None) -> str | None:
    if default is None:
        return None
    value = ast.literal_eval(default)
    if isinstance(value, str):
        return value or '""'
    return "none" if value is None else str(value).lower()


def _meaning(said: str, name: str) -> str:
    """The lines of the docstring's `Args:` about this one, those that go on included."""
    found = re.search(rf"^    {name}: (.*(?:\n      .*)*)", said, re.MULTILINE)
    return found.group(1) if found else ""


def _returns(said: str) -> str:
    return said.partition("Returns:\n")[2].strip()
