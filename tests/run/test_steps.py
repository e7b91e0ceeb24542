"""What the components' bodies share: a URI becomes files on this machine, wherever it points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.storage.conftest import emulated, emulator
from tfcanary.adapters.storage import open_storage
from tfcanary.core.errors import Refused
from tfcanary.run import steps
from tfcanary.run.steps.model_files import Copies

__all__ = ["emulated", "emulator"]

ROOT = Path(__file__).parents[2]


def test_a_path_is_used_where_it_lies(tmp_path: Path) -> None:
    assert steps.fetch(str(tmp_path)) == tmp_path
    assert steps.fetch(f"file://{tmp_path}/with%20space") == tmp_path / "with space"


def test_a_folder_in_a_bucket_becomes_a_folder_here(emulated: str) -> None:
    storage = open_storage(f"gs://{emulated}/exports/7")
    storage.write("saved_model.pb", b"graph")
    storage.write("variables/variables.index", b"index")
    folder = steps.fetch(f"gs://{emulated}/exports/7")
    assert (folder / "saved_model.pb").read_bytes() == b"graph"
    assert (folder / "variables" / "variables.index").read_bytes() == b"index"


def test_a_single_file_in_a_bucket_becomes_a_file_here(emulated: str) -> None:
    open_storage(f"gs://{emulated}/golden").write("digits.jsonl", b"{}")
    open_storage(f"gs://{emulated}/golden").write("digits.jsonl.bak", b"another")
    assert steps.fetch(f"gs://{emulated}/golden/digits.jsonl").read_bytes() == b"{}"


def test_what_is_looked_at_again_and_again_is_copied_once(emulated: str) -> None:
    logs = open_storage(f"gs://{emulated}/logs")
    logs.write("stable/a", b"old")
    logs.write("labels", b"one")
    copies = Copies()
    folder, labels = copies.fetch(f"gs://{emulated}/logs/stable"), copies.fetch(f"gs://{emulated}/logs/labels")
    (folder / "a").write_bytes(b"not copied again")
    logs.write("stable/b", b"new")
    logs.write("labels", b"one, two")
    assert (copies.fetch(f"gs://{emulated}/logs/stable"), copies.fetch(f"gs://{emulated}/logs/labels")) == (folder, labels)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"a": b"not copied again", "b": b"new"}
    assert labels.read_bytes() == b"one, two"


def test_an_empty_place_in_a_bucket_is_refused(emulated: str) -> None:
    with pytest.raises(Refused, match="nothing is stored there"):
        steps.fetch(f"gs://{emulated}/exports/8")


FAILS = """
import sys
from tests.fakes import World
from tfcanary import adapters
from tfcanary.run import steps
from tfcanary.act import ledger, rollback
from tfcanary.act.hold import holding
from tfcanary.core.errors import Unavailable

world = World()
world.has_stable()
adapters.open_platform = lambda uri, model, plan: world.platform(model)
step = steps.open_step("fake://", "digits", {}, "run-1")
ledger.begin(step.platform, step.plan, "run-1")
after = sys.excepthook


def seen(*error):
    after(*error)
    print(rollback.roll_back(world.platform(), "run-1").reason)


sys.excepthook = seen
with holding(step.platform, "run-1", "push"):
    raise ERROR
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("Unavailable('gs://models: 403, the account may not write')", "gs://models: 403, the account may not write"),
        ("ValueError('a fault', 'of\\nsomebody')", "ValueError: ('a fault', 'of\\nsomebody')"),
        ("MemoryError()", "MemoryError"),
    ],
)
def test_a_release_whose_step_failed_ends_with_the_steps_name_and_what_it_said(error: str, said: str) -> None:
    script = FAILS.replace("ERROR", error)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert ran.stdout.strip() == f"the step `push` failed: {said}; it held the release until 12:05:00 UTC by its clock"
