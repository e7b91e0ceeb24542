"""The contracts of `.importlinter` hold, and so do the rules for names and docstrings; each notices a violation that is planted."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(LINT), "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, to plant into."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("tfcanary", "components", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def test_the_layers_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("tfcanary/decide/judge/stages.py", "from tfcanary.run import watch", "Imports go down from room to room"),
        ("tfcanary/act/shift.py", "from tfcanary.adapters import routing", "Imports go down from room to room"),
        ("components/push_model/component.py", "from components.watch_stage import component", "Components do not know each other"),
        ("tfcanary/run/submit/handle.py", "from tfcanary.run import trigger", "In run: alone, trigger"),
        ("tfcanary/run/submit/progress.py", "from tfcanary.run.submit import handle", "In submit: the handle"),
        ("tfcanary/run/trigger/dispatch.py", "import kfp", "Only submission knows the KFP SDK"),
        ("tfcanary/act/shift.py", "import kfp", "Only submission knows the KFP SDK"),
        ("tfcanary/adapters/kubeclient/api.py", "from tfcanary.adapters import routing", "In adapters: platforms"),
        ("tfcanary/look/savedmodel/reader.py", "from tfcanary.look import trial", "In look: trial"),
        ("tfcanary/decide/stats/roots.py", "from tfcanary.decide import judge", "In decide: judge"),
        ("tfcanary/tf/wire/tensor.py", "from tfcanary.tf import runtime", "In tf: model server"),
        ("tfcanary/core/domain.py", "from tfcanary.core import record", "In core: ports"),
        ("tfcanary/act/push.py", "import kubernetes", "Only kubeclient knows"),
        ("tfcanary/report/numbers.py", "from tfcanary.core import ports", "What decides or draws"),
        ("tfcanary/look/savedmodel/reader.py", "import tensorflow", "Only the runtime knows TensorFlow"),
        ("tfcanary/decide/judge/stages.py", "import subprocess", "What decides does not talk to the world"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / file
    before = path.read_text()
    try:
        path.write_text(f"{before}\n{line}\n")
        done = lint(copy)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert any(contract in row for row in broken), done.stdout


def test_a_slim_step_imports_neither_tensorflow_nor_kubernetes_nor_the_sdk() -> None:
    """What the body of a step imports before its work; `validate` alone starts TensorFlow, and in a child."""
    code = "import sys; from tfcanary.run import steps, watch; from tfcanary.act import push, promote, rollback, deploy; "
    code += "from tfcanary.run.trigger import pipeline_step, serving; "
    code += "heavy = {'tensorflow', 'kubernetes', 'kfp', 'google.cloud.storage', 'pandas', 'starlette', 'uvicorn', 'jwt'}; "
    code += "heavy &= set(sys.modules); "
    code += "sys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


SEVERAL = {
    "__init__": "every package has one",
    "__main__": "every program has one",
}
"""Names of modules that may repeat, and why."""
TWINS = {"tfcanary/adapters/kube": "tfcanary/adapters/local", "tfcanary/adapters/local": "tfcanary/adapters/kube"}
"""Both bind the same ports, and their modules are named after the ports."""
VERBS = "tfcanary/cli"
"""Its files are named after what people type, and so is what does the work below it."""


def repeated_names(modules: list[str]) -> dict[str, list[str]]:
    """The basenames that stand for more than one module of the library."""
    places = defaultdict(list)
    for module in modules:
        folder, _, name = module.removesuffix(".py").rpartition("/")
        if name in SEVERAL or folder.startswith(VERBS) or f"{TWINS.get(folder)}/{name}.py" in places[name]:
            continue
        places[name].append(module)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_a_name_of_a_module_stands_for_one_thing_in_the_library() -> None:
    assert repeated_names(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tfcanary").rglob("*.py"))) == {}


def test_a_name_that_is_repeated_would_be_noticed() -> None:
    rooms = ["tfcanary/act/__init__.py", "tfcanary/run/__init__.py", "tfcanary/run/monitor/__main__.py", "tfcanary/cli/drift.py"]
    twins = ["tfcanary/adapters/kube/records.py", "tfcanary/adapters/local/records.py", "tfcanary/look/evaluate/drift.py"]
    assert repeated_names([*rooms, *twins]) == {}
    assert repeated_names([*twins, "tfcanary/run/drift.py"]) == {"drift": ["tfcanary/look/evaluate/drift.py", "tfcanary/run/drift.py"]}
    third = "tfcanary/core/records.py"
    assert repeated_names([*twins, third]) == {"records": ["tfcanary/adapters/kube/records.py", third]}


WORDS = 4
"""The fewest words of a sentence that stands alone when an editor shows it."""


def short_docstrings(source: str, module: str) -> Iterator[str]:
    """The public classes, functions and methods of a module whose docstring is missing or has fewer than four words."""

    def walk(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If | ast.Try):
                yield from walk(child, path)
            elif isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
                here = (*path, child.name)
                if len((ast.get_docstring(child) or "").split()) < WORDS:
                    yield f"{module} {'.'.join(here)}"
                if isinstance(child, ast.ClassDef):
                    yield from walk(child, here)

    return walk(ast.parse(source), ())


def test_every_public_docstring_is_a_sentence() -> None:
    short = {
        one
        for path in sorted((ROOT / "tfcanary").rglob("*.py"))
        for one in short_docstrings(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT / "tfcanary")))
    }
    assert sorted(short) == []


def test_a_docstring_that_is_short_or_missing_would_be_noticed() -> None:
    source = '''
def bare(): ...
def short():
    """Hash one piece."""
def good():
    """Return the digest of one piece."""
def _private(): ...
class Server:
    """A process that serves one model."""
    def stop(self):
        """Stop it."""
    def _look(self): ...
class _Hidden:
    def shown(self): ...
'''
    assert list(short_docstrings(source, "x.py")) == ["x.py bare", "x.py short", "x.py Server.stop"]


STATEMENTS = 10
"""Of a component's body, beside its imports: decode, one call of the library, encode."""


@pytest.mark.parametrize("file", sorted((ROOT / "components").glob("*/component.py")), ids=lambda path: path.parent.name)
def test_the_body_of_a_component_is_an_interface(file: Path) -> None:
    (function,) = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    body = [one for one in function.body[1:] if not isinstance(one, ast.Import | ast.ImportFrom)]
    assert len(body) <= STATEMENTS


def class_names_in_texts(sources: dict[str, str]) -> list[str]:
    """The texts of a program that contain the name of one of its classes, without docstrings and the names in `__all__`."""
    trees = {name: ast.parse(source) for name, source in sources.items()}
    names = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    composed = {name for name in names if re.search(r"[a-z][A-Z]", name)}
    found = []
    for name, tree in trees.items():
        silent = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
                silent |= set(ast.walk(node.value))  # type: ignore[arg-type]
        texts = (one for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str) and one not in silent)
        found += [f"{name}: {text.value!r}" for text in texts if composed & set(re.findall(r"\w+", str(text.value)))]
    return found


def test_no_sentence_for_people_has_the_name_of_a_class() -> None:
    """But for the lines that TensorFlow Serving itself prints."""
    found = class_names_in_texts({file.name: file.read_text(encoding="utf-8") for file in (ROOT / "tfcanary").rglob("*.py")})
    assert sorted(found) == [
        "configs.py: 'ModelServer does not yet support custom model config.'",
        "server.py: 'Running gRPC ModelServer at '",
        "server.py: 'Running gRPC ModelServer at UNIX socket '",
    ]


def test_the_name_of_a_class_in_a_sentence_would_be_noticed() -> None:
    planted = 'class ExpectedStop:\n    """An ExpectedStop."""\n\nHEADING = "ExpectedStop"\n__all__ = ["ExpectedStop"]\n'
    assert class_names_in_texts({"planted": planted}) == ["planted: 'ExpectedStop'"]
