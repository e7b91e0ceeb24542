"""What the Dockerfile's builders run, run here: by somebody without rights, from sources that he cannot write, and used as an image is.

Not proved by it: that the base image has what is asked of it. That a builder makes an image of the file, `test_image` proves.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.deploy.dockerfile import ROOT, read
from tfcanary import __version__
from tfcanary.run.submit import package

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

USER = 65532
FULL = "TFCANARY_TEST_FULL_IMAGE"
"""Where it is set, the image with TensorFlow is installed, too: a gigabyte, and ten minutes on a small machine."""
STEP = """
import importlib.util, sys
from tfcanary.run import steps, watch
from tfcanary.act import deploy, promote, push, rollback
from tfcanary.cli import guard
print(importlib.util.find_spec("tensorflow") is not None, "tensorflow" in sys.modules)
"""


@dataclass(frozen=True)
class Image:
    """What /opt/tfcanary of an image has, and what runs in it."""

    target: str
    python: str
    """The interpreter of the base."""
    folder: Path
    """`src` cannot be written, `tmp` is its user's, `tfcanary` is what is installed."""

    @property
    def programs(self) -> Path:
        return self.folder / "tfcanary" / "bin"

    def run(self, command: Sequence[str], seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """As a user who may do nothing, who has one folder to write into."""
        temporary = str(self.folder / "tmp")
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        own = {"HOME": temporary, "TMPDIR": temporary, "PYTHONDONTWRITEBYTECODE": "1", "PATH": f"{self.programs}:/usr/bin:/bin"}
        return subprocess.run(
            [*as_nobody(), *command],
            cwd=self.folder / "src",
            env={**kept, **own, **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def as_nobody() -> list[str]:
    """Nothing is to be done where we have no rights ourselves."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


def base() -> str:
    """An interpreter that this user may run, with pip."""
    for python in (str(getattr(sys, "_base_executable", sys.executable)), "/usr/local/bin/python3", "/usr/bin/python3"):
        # By a shell: setpriv itself still has root's rights when it looks for the program.
        asked = f"exec {python} -c 'import sys, pip, venv; sys.exit(sys.version_info < (3, 11))'"
        done = subprocess.run([*as_nobody(), "sh", "-c", asked], cwd="/", capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            return python
    pytest.skip("no Python 3.11 with pip that a user without rights may run")


@pytest.fixture(scope="module", params=["guard", "slim", "full"])
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    if request.param == "full" and FULL not in os.environ:
        pytest.skip(f"{FULL} is not set")
    # Not pytest's own folder: only its owner may enter that.
    root = Path(tempfile.mkdtemp(prefix="tfcanary-image-"))
    root.chmod(0o755)
    made = Image(request.param, base(), root)
    try:
        _prepare(made)
        _build(made)
        _writable(root / "tfcanary", False)
        yield made
    finally:
        _writable(root, True)
        shutil.rmtree(root)


def _prepare(image: Image) -> None:
    for copy in read().stages["source"].of("COPY"):
        _copy(copy.split()[:-1], image.folder / "src")
    _writable(image.folder / "src", False)
    for name in ("tmp", "tfcanary"):
        (image.folder / name).mkdir()
        if os.geteuid() == 0:
            os.chown(image.folder / name, USER, USER)


def _copy(names: Sequence[str], into: Path) -> None:
    into.mkdir(exist_ok=True)
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, into)


def _writable(folder: Path, yes: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0)
            path.chmod(mode | 0o200 if yes else mode & ~0o222)


def _build(image: Image) -> None:
    """The builder's own lines. setuptools works in the sources, unless it is told another place."""
    elsewhere = image.folder / "tmp" / "elsewhere.cfg"
    elsewhere.write_text(f"[build]\nbuild_base={image.folder}/tmp/build\n[egg_info]\negg_base={image.folder}/tmp\n")
    for line in read().stages[f"build-{image.target}"].of("RUN"):
        assert line.startswith("python ")
        shown = line.replace("python ", f"{image.python} ", 1).replace("/opt/tfcanary", str(image.folder / "tfcanary"))
        done = image.run(["sh", "-ec", shown], seconds=1700, DIST_EXTRA_CONFIG=str(elsewhere))
        if "Failed to establish a new connection" in done.stderr:
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_installed_runs_and_cannot_be_changed_by_who_runs_it(image: Image) -> None:
    for command in ([str(image.programs / "python"), "-m", "tfcanary", "--version"], ["tfcanary", "--version"]):
        done = image.run(command)
        assert (done.returncode, done.stdout.strip()) == (0, f"tfcanary, version {__version__}"), done.stderr
    if os.geteuid() == 0:
        written = image.run(["sh", "-c", f"touch {image.programs}/more {image.folder}/src/more"])
        assert written.returncode != 0
        assert written.stderr.count("Permission denied") == 2


def test_nothing_that_builds_or_installs_is_left_and_nothing_is_missing(image: Image) -> None:
    listed = image.run([image.python, "-m", "pip", "--python", str(image.programs / "python"), "list", "--format=json"])
    installed = {one["name"].lower() for one in json.loads(listed.stdout)}
    assert not {"pip", "wheel", "pytest", "mypy", "ruff"} & installed
    assert ("tensorflow-cpu" in installed) == (image.target == "full")
    assert ("kfp" in installed) == (image.target != "guard")
    checked = image.run([image.python, "-m", "pip", "--python", str(image.programs / "python"), "check"])
    assert checked.returncode == 0, checked.stdout


def test_a_step_imports_no_tensorflow(image: Image) -> None:
    done = image.run(["python", "-c", STEP])
    assert done.stdout.split() == [str(image.target == "full"), "False"], done.stderr


def test_a_guard_and_a_trigger_begin_and_what_is_not_installed_is_named(image: Image) -> None:
    """As far as each comes without a cluster."""
    (image.folder / "tmp" / "settings.yaml").write_text("models: []\n")
    guard = image.run(["tfcanary", "guard", "--platform", f"local://{image.folder}/tmp/state", "--model", "digits", "--run-id", "run-1"])
    assert (guard.returncode, "Traceback" in guard.stderr) == (3, False), guard.stderr
    trigger = image.run(["tfcanary", "trigger", "serve", "--settings", str(image.folder / "tmp" / "settings.yaml")])
    assert (trigger.returncode, "Traceback" in trigger.stderr) == (2, False), trigger.stderr
    if image.target != "full":
        demo = image.run(["tfcanary", "demo", "--folder", str(image.folder / "tmp" / "demo")])
        assert (demo.returncode, "pip install 'tfcanary[local]'" in demo.stderr) == (2, True), demo.stderr


def test_a_step_runs_as_kubeflow_starts_it(image: Image) -> None:
    """The exit step of a model that was never released, by the compiled package's own command."""
    if image.target == "guard":
        pytest.skip("no step runs in the guard's image")
    (executor,) = next(yaml.safe_load_all(package("guard_release")))["deploymentSpec"]["executors"].values()
    temporary = image.folder / "tmp"
    artifacts = {
        name: {"artifacts": [{"name": name, "uri": str(temporary / name), "metadata": {}, "type": {"schemaTitle": title}}]}
        for name, title in (("report", "system.HTML"), ("summary", "system.Markdown"), ("metrics", "system.Metrics"))
    }
    given = {
        "inputs": {"parameterValues": {"model_name": "digits", "platform": f"local://{temporary}/state", "run_id": "run-1"}},
        "outputs": {
            "artifacts": artifacts,
            "parameters": {"Output": {"outputFile": str(temporary / "said")}},
            "outputFile": str(temporary / "outputs.json"),
        },
    }
    arguments = [json.dumps(given) if one == "{{$}}" else one for one in executor["container"]["args"]]
    done = image.run([*executor["container"]["command"], *arguments])
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((temporary / "outputs.json").read_text())["parameterValues"] == {"Output": "none"}
    assert "digits" in (temporary / "report").read_text()
