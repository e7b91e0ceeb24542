"""The contracts of `.importlinter` hold, and each of them notices a violation that is planted."""

from __future__ import annotations

import shutil
import subprocess
import sys
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
        ("tfcanary/run/submit/handle.py", "from tfcanary.run import trigger", "In run: trigger"),
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
