"""A KFP host that takes nobody without credentials: each kind is sent, and renewed while a release is followed."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.adapters.kubeclient.api_server import Told
from tests.run.submit.kfp_host import JSON, NEW, Host
from tests.web import WebAnswers, WebServer
from tfcanary.core.errors import Refused, Unavailable
from tfcanary.run import submit
from tfcanary.run.submit import Submission, host_auth
from tfcanary.run.submit.host_auth import HostAuth, read_auth
from tfcanary.run.submit.remote_run import RemoteRun


def start(host: Host, auth: HostAuth | None = None) -> RemoteRun:
    return RemoteRun.start(Submission("canary_release", {"model_name": "digits"}, Path("unused"), host.url, host_auth=auth or HostAuth()))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_pod_sends_the_token_that_kubeflow_has_mounted_as_it_is_now(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    token.write_text("first\n")
    host.wanted = bearer("first")
    run = start(host)
    assert run.result() is None
    host.wanted = bearer("second")
    with pytest.raises(Unavailable, match="answers 401"):
        run.result()
    token.write_text("second")
    assert run.result() is None
    run.stop()


def test_a_token_and_a_cookie_come_from_a_file_as_it_is_now(host: Host, tmp_path: Path) -> None:
    for number, (auth, header) in enumerate(
        [
            (HostAuth(token_file=str(tmp_path / "secret")), lambda text: bearer(text)),
            (HostAuth(cookie_file=str(tmp_path / "secret")), lambda text: {"Cookie": text}),
        ]
    ):
        (tmp_path / "secret").write_text(f"authservice_session=a{number}\n")
        host.wanted = header(f"authservice_session=a{number}")
        run = start(host, auth)
        (tmp_path / "secret").write_text(f"authservice_session=b{number}")
        host.wanted = header(f"authservice_session=b{number}")
        assert run.result() is None


def test_a_password_in_netrc_is_not_sent_in_a_tokens_place(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    (tmp_path / "token").write_text("right")
    host.wanted = bearer("right")
    assert start(host, HostAuth(token_file=str(tmp_path / "token"))).result() is None


class Google(WebServer):
    """Google's token endpoint: it answers with identity tokens, which are valid for so many seconds."""

    def __init__(self) -> None:
        self.grants: list[str] = []
        self.seconds = 3600
        super().__init__(Grants)


class Grants(WebAnswers):
    server_of: Google

    def do_POST(self) -> None:
        google = self.server_of
        google.grants.append(self.read().decode())
        answer = {"id_token": identity(len(google.grants), google.seconds), "access_token": "unused", "expires_in": google.seconds}
        self.send(200, json.dumps(answer).encode(), JSON)


def identity(number: int, seconds: int) -> str:
    """A token in form, which nobody signed."""
    parts = [{"alg": "RS256"}, {"aud": "iap", "exp": int(time.time()) + seconds, "n": number}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    served = Google()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "a@p.iam", "private_key": pem, "token_uri": f"{served.url}/token"}
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    yield served
    served.close()


def test_behind_iap_a_service_account_sends_an_identity_token_that_is_valid(host: Host, google: Google) -> None:
    google.seconds = 3600
    run = start(host, HostAuth(client_id="iap-client"))
    assert len(google.grants) == 1, "one token for all requests, as long as it is valid"
    sent = {asked.headers["Authorization"] for asked in host.asked}
    assert len(sent) == 1
    assert json.loads(base64.urlsafe_b64decode(sent.pop().split(".")[1] + "==")) | {"exp": 0} == {"aud": "iap", "exp": 0, "n": 1}
    google.seconds = 1
    renewed = start(host, HostAuth(client_id="iap-client"))
    before = len(google.grants)
    renewed.result()
    assert len(google.grants) == before + 1, "a token that is about to expire is replaced"
    assert run.result() is None


def test_behind_iap_a_person_sends_a_token_by_the_sdks_own_way(
    host: Host, google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kfp.client import auth

    stored = {"iap-client": {"other_client_id": "desktop", "other_client_secret": "s", "refresh_token": "r"}}
    (tmp_path / "credentials.json").write_text(json.dumps(stored))
    (tmp_path / "secret").write_text("s")
    monkeypatch.setattr(auth, "LOCAL_KFP_CREDENTIAL", str(tmp_path / "credentials.json"))
    monkeypatch.setattr(auth, "OAUTH_TOKEN_URI", f"{google.url}/token")
    person = HostAuth(client_id="iap-client", app_client_id="desktop", app_client_secret_file=str(tmp_path / "secret"))
    run = start(host, person)
    assert run.result() is None
    assert len(google.grants) == 1
    assert "grant_type=refresh_token" in google.grants[0]
    monkeypatch.setattr(host_auth, "RENEW", 0.0)
    run.result()
    assert len(google.grants) == 2, "after a while the token is fetched again"


def test_where_google_gives_no_token_the_host_is_not_asked(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(Unavailable, match="Google gives no token for KFP"):
        start(host, HostAuth(client_id="iap-client"))
    assert host.asked == []


def test_the_cookie_of_the_sdks_context_is_sent_without_any_other_credentials(host: Host, tmp_path: Path) -> None:
    (tmp_path / ".config" / "kfp").mkdir(parents=True)
    context = {"namespace": "team-a", "client_authentication_cookie": "authservice_session=c"}
    (tmp_path / ".config" / "kfp" / "context.json").write_text(json.dumps(context))
    host.wanted = {"Cookie": "authservice_session=c"}
    assert start(host).result() is None
    (tmp_path / ".config" / "kfp" / "context.json").write_text("[]")
    with pytest.raises(Refused, match="is not the KFP SDK's context"):
        start(host)


@pytest.mark.parametrize(
    "log_in",
    [
        Told(401, {"error": "no user identity header"}, JSON),
        Told(302, "", {"Location": "/dex/auth?client_id=kubeflow-oidc-authservice"}),
        Told(200, "<html>Log in</html>", {"Content-Type": "text/html"}),
    ],
    ids=["an error", "a redirection", "a page"],
)
def test_a_host_that_asks_for_credentials_is_told_with_the_option_that_names_them(host: Host, log_in: Told) -> None:
    host.wanted, host.log_in = bearer("right"), log_in
    (found,) = submit.examine(host.url).evidence
    assert found.finding.value == "inconclusive"
    assert "it asks for credentials: name them by --host-auth" in found.reason
    assert [asked.path for asked in host.asked] == [NEW], "a redirection is not followed"


@pytest.mark.parametrize("content", ["", "two\nlines", "ü", None])
def test_a_file_without_credentials_is_named_and_not_shown(host: Host, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(Unavailable) as error:
        start(host, HostAuth(token_file=str(tmp_path / "token")))
    assert str(tmp_path / "token") in str(error.value)
    assert not content or content not in str(error.value)
    assert host.asked == []


def test_credentials_are_read_from_a_mapping_or_a_file_beside_which_their_files_lie(tmp_path: Path) -> None:
    (tmp_path / "auth.yaml").write_text("token_file: token")
    assert read_auth(tmp_path / "auth.yaml") == HostAuth(token_file=str(tmp_path / "token"))
    assert read_auth({"cookie_file": "/a"}) == HostAuth(cookie_file="/a")
    assert read_auth("") == read_auth(None) == HostAuth()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"token_file": "a", "cookie_file": "b"}, "name only one of"),
        ({"client_id": "c", "app_client_id": "d"}, "`app_client_id` needs"),
        ({"app_client_id": "d", "app_client_secret_file": "e"}, "`app_client_id` needs"),
        ({"tokenfile": "a"}, "did you mean 'token_file'"),
    ],
)
def test_credentials_of_two_kinds_are_refused(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        read_auth(wrong)
