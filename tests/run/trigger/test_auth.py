"""Tokens that an issuer signs: signature, issuer, audience, time and caller must all be right."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.run.trigger.conftest import Client, Site, document, serving_on
from tfcanary.run.trigger import auth
from tfcanary.run.trigger.auth import ALGORITHMS

ISSUER, AUDIENCE, CALLER = "https://issuer.example", "https://trigger.example/events", "pusher@project.iam.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Keys(BaseHTTPRequestHandler):
    """The issuer's public keys."""

    broken = False
    asked = 0
    ids: tuple[str, ...] = ("one",)

    def do_GET(self) -> None:
        Keys.asked += 1
        keys = [json.loads(RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": id, "use": "sig", "alg": "RS256"} for id in Keys.ids]
        body = b"<html>" if Keys.broken else json.dumps({"keys": keys}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def issuer() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Keys.broken, Keys.asked, Keys.ids = False, 0, ("one",)
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def guarded(site: Site, issuer: str, tmp_path: Path) -> Iterator[Client]:
    oidc = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": issuer, "callers": [CALLER, "system:serviceaccount:a:b"]}
    with serving_on(tmp_path, document(auth={"oidc": oidc})) as client:
        yield client


def signed(key: Any = KEY, kid: str = "one", algorithm: str = "RS256", **change: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now, "sub": "1", "email": CALLER, "email_verified": True}
    claims = {name: value for name, value in {**claims, **change}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def status(client: Client, token: str, site: Site) -> int:
    return Client(client.port, token).offer(site.export(7))[0]


def test_a_token_of_the_issuer_for_us_from_a_known_caller_is_taken(site: Site, guarded: Client) -> None:
    assert status(guarded, signed(), site) == 202
    assert status(guarded, signed(email=None, sub="system:serviceaccount:a:b"), site) == 200
    assert Keys.asked == 1, "the keys are kept"


TOKENS = {
    "another key": signed(OTHER),
    "an unknown key": signed(kid="another"),
    "another audience": signed(aud="https://somebody.else"),
    "another issuer": signed(iss="https://somebody.else"),
    "expired": signed(exp=int(time.time()) - 120),
    "without an end": signed(exp=None),
    "without an audience": signed(aud=None),
    "another account": signed(email="stranger@project.iam.example"),
    "an account not verified": signed(email_verified=False),
    "verified in words": signed(email_verified="true"),
    "a list of accounts": signed(email=["a"], sub="x"),
    "not yet": signed(nbf=int(time.time()) + 3600),
    "no token": "a.b.c",
    "another way's token": "a-token-of-the-tests-0123",
    "nothing signed": ".." + "x" * 100,
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_every_other_token_is_not(site: Site, guarded: Client, token: str) -> None:
    assert status(guarded, token, site) == 401
    assert site.record().heard == ()


def test_nobody_signs_with_the_public_key_or_with_nothing(site: Site, guarded: Client) -> None:
    import base64
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _, claims, _ = signed().split(".")

    def part(said: Any) -> str:
        return base64.urlsafe_b64encode(said if isinstance(said, bytes) else json.dumps(said).encode()).rstrip(b"=").decode()

    head = part({"alg": "HS256", "typ": "JWT", "kid": "one"})
    forged = part(hmac.new(public, f"{head}.{claims}".encode(), hashlib.sha256).digest())
    assert status(guarded, f"{head}.{claims}.{forged}", site) == 401
    assert status(guarded, f"{part({'alg': 'none', 'kid': 'one'})}.{claims}.", site) == 401
    assert {name[:2] for name in ALGORITHMS} == {"RS", "PS", "ES", "Ed"}, "the library refuses both, too; we do not rest on that"


def test_a_new_key_of_the_issuer_is_known_at_once_and_unknown_ones_cost_no_fetch_each(
    site: Site, guarded: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(guarded, signed(), site) == 202
    Keys.ids = ("one", "two")
    assert status(guarded, signed(kid="two"), site) == 200
    assert Keys.asked == 2
    assert {status(guarded, signed(kid=f"made-up-{i}"), site) for i in range(20)} == {401}
    assert Keys.asked == 2, "whoever makes up key ids does not make us ask the issuer"
    monkeypatch.setattr(auth, "REFRESH", 0.0)
    Keys.ids = ("three",)
    assert status(guarded, signed(kid="three"), site) == 200


def test_where_the_keys_cannot_be_read_nobody_is_let_in(site: Site, guarded: Client) -> None:
    Keys.broken = True
    assert status(guarded, signed(), site) in (401, 503)
    assert site.record().heard == ()
    Keys.broken = False
    assert status(guarded, signed(), site) == 202


def test_where_the_issuer_does_not_answer_the_sender_is_told_to_come_again(site: Site, tmp_path: Path) -> None:
    oidc = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "http://127.0.0.1:9/keys", "callers": [CALLER]}
    with serving_on(tmp_path, document(auth={"oidc": oidc})) as client:
        assert status(client, signed(), site) == 503
