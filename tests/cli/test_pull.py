"""`pull`, as the init container of a model server's pod runs it: a process of its own, against a bucket of S3's kind."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.storage.conftest import at_moto, moto, s3_server
from tests.adapters.storage.gcs_server import BUCKET, Fault
from tests.adapters.storage.s3_server import S3Server
from tests.adapters.storage.verbs import store
from tests.cli.test_cli import run
from tfcanary.adapters.storage import download
from tfcanary.adapters.storage.download import pull_version
from tfcanary.adapters.storage.s3 import S3Storage
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.core.retry import Pauses
from tfcanary.look.savedmodel import manifest

__all__ = ["at_moto", "moto", "s3_server"]

NAMES = ["assets/words", "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(100_000))
    return folder


@pytest.fixture
def digest(model: Path) -> str:
    return manifest(model).digest


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """The volume of a pod."""
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


@pytest.fixture
def version(at_moto: S3Storage, model: Path) -> str:
    """The URI of version 7."""
    store(at_moto, model, "7", NAMES)
    return f"s3://{at_moto._bucket}/models/m/7"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", Pauses(first=0.01, attempts=2))
    monkeypatch.setattr("tfcanary.adapters.storage.s3.DEADLINE", 1.0)


Captured = pytest.CaptureFixture[str]
COMMAND = (sys.executable, "-W", "ignore", "-m", "tfcanary", "pull")


def refusal(version: str, digest: str, into: Path, capsys: Captured) -> str:
    """The single line with which the verb refuses."""
    assert run("pull", version, "--digest", digest, "--into", into) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_version_that_was_validated_is_in_the_volume(version: str, digest: str, model: Path, into: Path) -> None:
    given = [*COMMAND, version, "--digest", digest, "--into", str(into)]
    log = subprocess.run(given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True).stdout
    assert log == f"{version}: 4 files with the digest {digest} are in {into}\n"
    assert [one.name for one in into.iterdir()] == ["7"]
    assert files(into / "7") == files(model)


def test_other_bytes_are_refused_and_nothing_is_left_that_a_server_could_load(
    version: str, digest: str, at_moto: S3Storage, into: Path, capsys: Captured
) -> None:
    at_moto.write("7/saved_model.pb", b"somebody else's")
    said = refusal(version, digest, into, capsys)
    assert said.startswith(f"tfcanary: {version}: has the digest sha256:")
    assert said.endswith(f"and {digest} was validated: its files are not the ones that were pushed")
    assert list(into.iterdir()) == []


def test_a_file_that_was_added_or_is_missing_is_refused(version: str, digest: str, at_moto: S3Storage, into: Path) -> None:
    at_moto.write("7/assets/more", b"more")
    with pytest.raises(Refused, match="its files are not the ones that were pushed"):
        pull_version(version, digest, into)
    at_moto.delete("7/assets/more")
    at_moto.delete("7/saved_model.pb")
    with pytest.raises(Refused, match=r"saved_model\.pb|not the ones"):
        pull_version(version, digest, into)
    assert list(into.iterdir()) == []


def test_a_version_that_is_not_there_is_one_sentence(version: str, digest: str, into: Path, capsys: Captured) -> None:
    assert refusal(version.replace("/7", "/8"), digest, into, capsys) == f"tfcanary: {version.replace('/7', '/8')}: nothing is stored there"


@pytest.fixture
def strict(moto: str, at_moto: S3Storage) -> Iterator[None]:
    """From now on moto looks at credentials, and knows none."""
    for count in ("0", "inf"):
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset-auth", count.encode(), headers), timeout=10).close()
        if count == "0":
            yield


def test_wrong_credentials_are_one_sentence(version: str, digest: str, into: Path, strict: None, capsys: Captured) -> None:
    said = refusal(version, digest, into, capsys)
    assert "does not accept the S3 credentials" in said
    assert said.endswith("or make the Secret tfcanary-s3 on a cluster")


def test_a_bucket_that_may_not_be_read_is_one_sentence(s3_server: S3Server, digest: str, into: Path, capsys: Captured) -> None:
    s3_server.faults.append(Fault("GET", "", 403))
    said = refusal(f"s3://{BUCKET}/m/7", digest, into, capsys)
    assert said.startswith(f"tfcanary: s3://{BUCKET}/m/7/: not allowed; the account needs s3:ListBucket and s3:GetObject on the bucket")


def test_an_outage_that_passes_is_waited_out(s3_server: S3Server, digest: str, model: Path, into: Path, impatient: None) -> None:
    store(S3Storage(BUCKET, "m/"), model, "7", NAMES)
    s3_server.faults.append(Fault("GET", "assets/words", "half", times=3))
    pull_version(f"s3://{BUCKET}/m/7", digest, into)
    assert files(into / "7") == files(model)


def test_an_outage_that_stays_ends_the_container_with_one_sentence(s3_server: S3Server, digest: str, into: Path, impatient: None) -> None:
    s3_server.faults.append(Fault("GET", "", 503))
    with pytest.raises(Unavailable, match=rf"s3://{BUCKET}/m/7: could not be copied in 2 attempts: .* could not answer"):
        pull_version(f"s3://{BUCKET}/m/7", digest, into)
    assert list(into.iterdir()) == []


def test_what_a_container_before_has_left_is_not_mixed_with_the_version(version: str, digest: str, model: Path, into: Path) -> None:
    """A container that is started again finds the volume of its pod as the one before has left it."""
    for left in (".7", "7"):
        (into / left / "variables").mkdir(parents=True)
        (into / left / "variables" / "old").write_bytes(b"half")
    pull_version(version, digest, into)
    assert [one.name for one in into.iterdir()] == ["7"]
    assert files(into / "7") == files(model)


@pytest.mark.parametrize("uri", ["s3://bucket/m/..", "s3://bucket/m/latest", "s3://bucket", "/srv/m/٧"])
def test_only_a_folder_that_is_called_by_a_number_is_a_version(uri: str, into: Path) -> None:
    with pytest.raises(Refused, match="must be a version, a folder that is called by its number"):
        pull_version(uri, OTHER, into)


def test_a_volume_that_cannot_be_written_is_one_sentence(version: str, digest: str, into: Path, capsys: Captured) -> None:
    (into / "file").write_text("")
    said = refusal(version, digest, into / "file", capsys)
    assert said.startswith(f"tfcanary: writing {into}/file")
