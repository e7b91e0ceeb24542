"""A Prometheus behind a door: whom the queries name, by what it is known, and that no secret is shown."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.metrics.prometheus_server import AT, TRACKS, Page, PrometheusServer, answered, source
from tests.cluster.authority import Authority, Identity
from tfcanary.adapters.metrics.prometheus import PrometheusSource
from tfcanary.core import codec
from tfcanary.core.domain import Counters, Track
from tfcanary.core.errors import Refused, TfcanaryError, Unavailable
from tfcanary.core.plan import MetricsPlan, Plan


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    server.pages = [Page("c", "canary", series=answered(7))]
    yield server
    server.close()


def file(folder: Path, text: str, name: str = "secret") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def authorizations(server: PrometheusServer) -> list[str | None]:
    return [one.headers.get("Authorization") for one in server.asked]


def test_without_credentials_none_are_sent(server: PrometheusServer) -> None:
    source(server).sample(Track.CANARY, AT)
    assert authorizations(server) == [None, None]


def test_a_token_is_read_from_its_file_again_for_each_query(server: PrometheusServer, tmp_path: Path) -> None:
    """A pod's token is replaced while it runs."""
    asks = source(server, token_file=file(tmp_path, "first\n"))
    asks.sample(Track.CANARY, AT)
    file(tmp_path, "second\n")
    asks.history(Track.CANARY, AT)
    assert authorizations(server) == ["Bearer first"] * 2 + ["Bearer second"] * 2


def test_a_name_and_the_password_of_a_file_are_basic_authentication(server: PrometheusServer, tmp_path: Path) -> None:
    source(server, username="jörg", password_file=file(tmp_path, "pa:ss word\n")).sample(Track.CANARY, AT)
    expected = "Basic " + base64.b64encode("jörg:pa:ss word".encode()).decode()
    assert authorizations(server) == [expected] * 2


def test_headers_name_the_tenant(server: PrometheusServer) -> None:
    source(server, headers={"X-Scope-OrgID": "team-a"}).sample(Track.CANARY, AT)
    assert [one.headers["X-Scope-OrgID"] for one in server.asked] == ["team-a"] * 2


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_not_accepted_are_refused_at_once(server: PrometheusServer, tmp_path: Path, status: int) -> None:
    server.failures = [status] * 50
    with pytest.raises(Refused, match=f"{server.url}: Prometheus .*{status}") as raised:
        source(server, token_file=file(tmp_path, "s3cr3t")).sample(Track.CANARY, AT)
    assert ("metrics.token_file" in str(raised.value)) is (status == 401)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "cannot be read here (No such file or directory)"), ("", "must hold one line"), ("s3cr3t\ns3cr3t", "must hold one line")],
)
@pytest.mark.parametrize("field", ["token_file", "password_file"])
def test_a_file_that_holds_no_secret_is_refused_without_its_text(
    server: PrometheusServer, tmp_path: Path, field: str, text: str | None, reason: str
) -> None:
    path = file(tmp_path, text) if text is not None else str(tmp_path / "secret")
    more = {"username": "me"} if field == "password_file" else {}
    with pytest.raises(Refused) as raised:
        source(server, **{field: path}, **more).sample(Track.CANARY, AT)
    assert f"metrics.{field} {path}: {reason}" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert server.asked == []


@pytest.mark.parametrize("failure", [401, 403, 404, 503, "cut", "<html>log in</html>"])
def test_no_sentence_has_a_secret(server: PrometheusServer, tmp_path: Path, failure: int | str, caplog: pytest.LogCaptureFixture) -> None:
    server.failures = [failure] * 50
    with caplog.at_level("DEBUG"), pytest.raises(TfcanaryError) as raised:
        source(server, timeout=timedelta(seconds=0.3), token_file=file(tmp_path, "s3cr3t")).sample(Track.CANARY, AT)
    assert "s3cr3t" not in f"{raised.value}{caplog.text}"


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Identity:
    return authority.issue("client", "client")


@pytest.fixture
def behind_tls(authority: Authority) -> Iterator[PrometheusServer]:
    """A server with a certificate of its own authority, which wants one of its clients too."""
    served = authority.issue("server", "server", names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served.certificate, served.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    server = PrometheusServer(context)
    server.pages = [Page("c", "canary", series=answered(7))]
    yield server
    server.close()


def test_a_client_certificate_opens_a_door_of_its_own_authority(
    behind_tls: PrometheusServer, authority: Authority, client: Identity
) -> None:
    plan = {"ca_file": str(authority.file), "certificate_file": str(client.certificate), "key_file": str(client.key)}
    assert source(behind_tls, **plan).sample(Track.CANARY, AT).servers == {"c": Counters(7)}


def test_a_certificate_and_its_key_may_lie_in_one_file(
    behind_tls: PrometheusServer, authority: Authority, client: Identity, tmp_path: Path
) -> None:
    both = file(tmp_path, client.certificate.read_text() + client.key.read_text())
    plan = {"ca_file": str(authority.file), "certificate_file": both}
    assert source(behind_tls, **plan).sample(Track.CANARY, AT).servers == {"c": Counters(7)}


def test_without_a_certificate_the_door_stays_shut(behind_tls: PrometheusServer, authority: Authority) -> None:
    with pytest.raises(Unavailable, match=behind_tls.url):
        source(behind_tls, timeout=timedelta(seconds=0.3), ca_file=str(authority.file)).sample(Track.CANARY, AT)
    assert behind_tls.asked == []


def test_an_authority_that_nobody_named_is_not_trusted(behind_tls: PrometheusServer, client: Identity) -> None:
    plan = {"certificate_file": str(client.certificate), "key_file": str(client.key)}
    with pytest.raises(Unavailable, match=rf"{behind_tls.url}: TLS: certificate verify failed.*; see metrics\.ca_file"):
        source(behind_tls, timeout=timedelta(seconds=0.3), **plan).sample(Track.CANARY, AT)


@pytest.mark.parametrize("field", ["ca_file", "certificate_file"])
def test_certificates_that_are_missing_are_refused_by_their_path(behind_tls: PrometheusServer, tmp_path: Path, field: str) -> None:
    with pytest.raises(Refused, match=f"ca_file, certificate_file or key_file cannot be used .*{tmp_path}/none"):
        source(behind_tls, **{field: str(tmp_path / "none")}).sample(Track.CANARY, AT)


# The plan


def decoded(metrics: dict[str, Any]) -> MetricsPlan:
    plan: Plan = codec.decode(Plan, {"metrics": metrics}, at="plan")
    return plan.metrics


def test_the_plan_names_files_and_survives_the_way_through_kubeflow() -> None:
    metrics = {
        "url": "https://thanos.monitoring:9091/tenant",
        "token_file": "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "headers": {"X-Scope-OrgID": "team-a"},
        "ca_file": "/etc/tfcanary/metrics/ca",
    }
    plan = Plan(metrics=decoded(metrics))
    assert codec.decode(Plan, codec.brief(plan)) == plan


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"url": "https://me:s3cr3t@prometheus"}, "url: has a user name or a password in it; .* `username` and `password_file`"),
        ({"token_file": "token"}, "token_file 'token': must be an absolute path, for example /etc/tfcanary/metrics/token"),
        ({"ca_file": "../ca"}, r"ca_file '\.\./ca': must be an absolute path"),
        ({"username": "me"}, "username, password_file: must be given together"),
        ({"password_file": "/a"}, "username, password_file: must be given together"),
        ({"username": "me", "password_file": "/a", "token_file": "/b"}, "token_file, username: at most one of them"),
        ({"key_file": "/a"}, "key_file: needs `certificate_file`"),
        ({"headers": {"Authorization": "Bearer s3cr3t"}}, "headers Authorization: holds a secret; .* `token_file`"),
        ({"headers": {"cookie": "s3cr3t"}}, "headers cookie: holds a secret"),
        ({"headers": {"X Scope": "a"}}, "headers 'X Scope': is not the name of an HTTP header"),
        ({"headers": {"X-Scope": "s3cr3t\r\nX-Other: b"}}, "headers X-Scope: must have printable ASCII characters"),
        ({"headers": {"X-Scope": " s3cr3t"}}, "headers X-Scope: .*, without spaces at either end"),
    ],
)
def test_a_plan_that_holds_a_secret_or_makes_no_sense_is_refused_and_not_repeated(metrics: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=rf"plan\.metrics: {sentence}") as raised:
        decoded(metrics)
    assert "s3cr3t" not in str(raised.value)


def test_a_password_in_the_address_of_a_replay_is_used_and_not_shown(server: PrometheusServer) -> None:
    """Only a plan is kept and shown: who types an address may have a password in it."""
    url = server.url.replace("//", "//me:s3cr3t@")
    PrometheusSource(url, "m", MetricsPlan(), TRACKS).sample(Track.CANARY, AT)
    assert authorizations(server)[0] == "Basic " + base64.b64encode(b"me:s3cr3t").decode()
