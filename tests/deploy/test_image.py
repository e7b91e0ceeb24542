"""The slim image, built by a container engine from the Dockerfile and run as a cluster runs it.

The base is made of Debian's packages where none is named: what an image needs of it is Python 3.11 with pip and venv, called `python`.
Not proved by it: the image of the default base, and the one with TensorFlow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import binaries
from tests.cluster.optional import optional
from tests.deploy.dockerfile import ROOT
from tests.deploy.test_install import STEP, USER
from tfcanary import __version__

pytestmark = [pytest.mark.slow, optional, pytest.mark.timeout(3600)]

GIVEN = "TFCANARY_TEST_BASE_IMAGE"
"""The variable that names a base which the engine has or can pull."""
SUITE = "bookworm"
"""Debian's with Python 3.11."""
PACKAGES = "python3,python3-venv,ca-certificates"
BASE = binaries.CACHE.parent / f"base-{SUITE}.tar"
PIP = "set -- /usr/share/python-wheels/pip-*.whl; python3 $1/pip install --no-index --find-links=/usr/share/python-wheels pip setuptools"
"""Into /usr/local, as in the default base: of Debian's own pip nothing could be uninstalled."""
ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts: its package index may be signed by somebody else than Debian knows."""
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""An engine's own are higher than its caller may be allowed to set."""
INSIDE = """
import os
from importlib.util import find_spec
def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"
print(os.getuid(), os.getgid(), [name for name in ("pip", "setuptools", "wheel") if find_spec(name)])
for path in ("/opt/tfcanary/more", "/more", "/tmp/more"):
    print(path, refused(path))
"""


@dataclass(frozen=True)
class Engine:
    """podman or docker: they take the same words, but for the one by which podman leaves no images of a build's steps."""

    program: str

    @property
    def tidy(self) -> tuple[str, ...]:
        return ("--layers=false",) if self.program == "podman" else ()

    def __call__(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=seconds, check=False)


@dataclass(frozen=True)
class Image:
    engine: Engine
    name: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Nobody says who runs it: that is the image's own."""
        contained = ("--read-only", "--tmpfs=/tmp", "--network=none", "--cap-drop=all", "--security-opt=no-new-privileges")
        return self.engine("run", "--rm", *contained, *LIMITS, self.name, *command)


@pytest.fixture(scope="module")
def engine() -> Engine:
    for program in ("podman", "docker"):
        if shutil.which(program) and subprocess.run([program, "info"], capture_output=True, timeout=60, check=False).returncode == 0:
            return Engine(program)
    pytest.skip("no container engine: neither `podman info` nor `docker info` succeeds")


@pytest.fixture(scope="module")
def base(engine: Engine) -> Iterator[str]:
    """An image with Python."""
    if GIVEN in os.environ:
        yield os.environ[GIVEN]
        return
    name = f"localhost/tfcanary-test-base:{uuid.uuid4().hex[:8]}"
    done = engine("import", str(debian()), name, seconds=600)
    if done.returncode != 0:
        pytest.skip(f"{engine.program} cannot import an image here: {done.stderr.strip()}")
    yield name
    engine("rmi", "--force", name)


def debian() -> Path:
    """The root of a small Debian, as an archive in a cache of the user; made once, by root."""
    with binaries.alone("base"):
        if not BASE.exists():
            if os.geteuid() != 0:
                pytest.skip(f"{GIVEN} is not set, and only root can make a base of Debian's packages")
            if shutil.which("debootstrap") is None:
                pytest.skip(f"{GIVEN} is not set, and debootstrap, which makes a base of Debian's packages, is not installed")
            _make_base(BASE)
    return BASE


def _make_base(archive: Path) -> None:
    root = archive.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    try:
        done = _do("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root))
        if done.returncode != 0:
            pytest.skip(f"debootstrap cannot make a base here: {done.stdout.strip()[-500:]}")
        next(root.glob("usr/lib/python3*/EXTERNALLY-MANAGED")).unlink()
        done = _do("chroot", str(root), "sh", "-ec", PIP)
        assert done.returncode == 0, done.stdout + done.stderr
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        _reach_the_index(root)
        aside = archive.with_suffix(".part")
        with tarfile.open(aside, "w") as made:
            made.add(root, arcname=".")
        aside.rename(archive)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _do(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)


def _reach_the_index(root: Path) -> None:
    """As this machine does: its settings of pip, but for folders that are not in there, and whom it trusts."""
    listed = _do(sys.executable, "-m", "pip", "config", "list").stdout
    settings = dict(line.partition("=")[::2] for line in listed.splitlines())
    kept = {name.partition(".")[2]: value.strip("'") for name, value in settings.items() if name.endswith(("index-url", "timeout"))}
    (root / "etc/pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in kept.items()) + f"cert = {ROOTS}\n")
    shutil.copy(ROOTS, root / ROOTS.relative_to("/"))


@pytest.fixture(scope="module")
def image(engine: Engine, base: str) -> Iterator[Image]:
    """The slim one."""
    made = Image(engine, f"localhost/tfcanary-test-slim:{uuid.uuid4().hex[:8]}")
    # The machine's own network: the index may be reachable from nowhere else.
    options = ("--network=host", "--target=slim", f"--build-arg=PYTHON={base}", f"--tag={made.name}", f"--file={ROOT / 'Dockerfile'}")
    done = engine("build", *options, *engine.tidy, str(ROOT), seconds=3000)
    if "Failed to establish a new connection" in done.stdout + done.stderr:
        pytest.skip("the package index cannot be reached from a build")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield made
    engine("rmi", "--force", made.name)


def lines(done: subprocess.CompletedProcess[str]) -> Sequence[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()


def test_the_image_runs_with_a_root_that_cannot_be_written(image: Image) -> None:
    assert lines(image.run("python", "-m", "tfcanary", "--version")) == [f"tfcanary, version {__version__}"]
    assert lines(image.run("tfcanary", "--version")) == [f"tfcanary, version {__version__}"]
    assert lines(image.run())[0].startswith("Usage: tfcanary")


def test_it_runs_as_a_number_with_nothing_that_installs_and_writes_to_tmp_alone(image: Image) -> None:
    who, *places = lines(image.run("python", "-c", INSIDE))
    assert who == f"{USER} {USER} []"
    assert places == ["/opt/tfcanary/more Read-only file system", "/more Read-only file system", "/tmp/more written"]


def test_a_step_starts_in_it(image: Image) -> None:
    assert lines(image.run("python", "-c", STEP)) == ["False False"]
