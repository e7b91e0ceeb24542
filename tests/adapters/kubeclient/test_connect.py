"""Which server is asked, as whom; and what is wrong with a kubeconfig."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from http.server import HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.adapters.kubeclient.api_server import ApiServer, kubeconfig
from tests.cluster.authority import Authority
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS
from tfcanary.core.errors import Refused, Unavailable


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def asked(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(path))
    Api("ns", patience=0.2).get(CONFIG_MAPS, "a")


def test_the_package_kubernetes_is_imported_by_the_first_call_only() -> None:
    code = "import sys, tfcanary.adapters.kubeclient.api; sys.exit('kubernetes' in sys.modules or 'urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_second_file_of_several_is_read_where_the_first_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ApiServer()
    try:
        asked(monkeypatch, Path(f"{tmp_path / 'missing'}:{kubeconfig(tmp_path / 'config', server.url)}"))
    finally:
        server.close()


def test_a_kubeconfig_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=rf"kubeconfig {tmp_path}/none: is missing; name one in \$KUBECONFIG"):
        asked(monkeypatch, tmp_path / "none")


def test_a_kubeconfig_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=f"kubeconfig {tmp_path}: cannot be read: Is a directory"):
        asked(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "a: [secret", "secret", "contexts: 3", "apiVersion: v1", "", "users: [{name: x, user: {token: secret}}]"]
)
def test_what_is_no_kubeconfig_is_refused_without_its_text(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Refused, match=f"kubeconfig {tmp_path}/config: ") as raised:
        asked(monkeypatch, tmp_path / "config")
    assert "secret" not in str(raised.value)


def test_a_context_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    path.write_text(path.read_text().replace('"current-context": "here"', '"current-context": "there"'))
    with pytest.raises(Refused, match=f"kubeconfig {path}: has no 'there' among its contexts"):
        asked(monkeypatch, path)


@pytest.mark.parametrize("server", ["foo bar", "http://127.0.0.1:99999", "10.0.0.1"])
def test_an_address_that_is_none_is_refused(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=f"server '{server}' is no address such as https://10.0.0.1:6443"):
        asked(monkeypatch, kubeconfig(tmp_path / "config", server))


def test_a_name_and_a_password_in_the_address_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable) as raised:
        asked(monkeypatch, kubeconfig(tmp_path / "config", "http://me:secret@127.0.0.1:1"))
    assert "http://127.0.0.1:1 " in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_name_that_cannot_be_resolved_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"the API server at http://nowhere.invalid did not .*: its name cannot be resolved"):
        asked(monkeypatch, kubeconfig(tmp_path / "config", "http://nowhere.invalid"))


def test_in_a_pod_without_a_token_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(Refused, match="the pod's service account: Service token file does not exist"):
        Api("ns").get(CONFIG_MAPS, "a")


class Expired:
    """A server whose certificate has expired."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        served = authority.issue("server", "server", names=["127.0.0.1"], expires_in=timedelta(hours=-1))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(served.certificate, served.key)
        self.authority = authority.file
        self.http = Quiet(("127.0.0.1", 0), None)  # type: ignore[arg-type]
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Quiet(HTTPServer):
    def handle_error(self, *_: object) -> None:
        """Nobody gets past the handshake."""


@pytest.fixture
def expired(tmp_path: Path) -> Iterator[Expired]:
    server = Expired(tmp_path)
    yield server
    server.close()


def test_a_certificate_that_has_expired_is_named(expired: Expired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig(tmp_path / "config", f"https://127.0.0.1:{expired.http.server_address[1]}", authority=expired.authority)
    with pytest.raises(Unavailable, match="the last try: TLS: certificate verify failed: certificate has expired"):
        asked(monkeypatch, path)
