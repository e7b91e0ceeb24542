"""Who may call: the bearer of the one token, or of a token that an issuer signed. What a caller sent is never logged."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tfcanary.core.errors import Refused, Unavailable
from tfcanary.run.trigger.settings import Auth, Oidc

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: with the others, whoever knows the public key could sign."""
LEEWAY = 30.0
"""Seconds by which two clocks may differ."""
TIMEOUT = 5.0
"""Seconds for the issuer's keys."""
KEPT = 300.0
"""Seconds for which the issuer's keys are used again."""
SHORTEST = 16
"""Characters of a token: shorter ones can be guessed."""
LONGEST = 16_384
"""Characters of a token that is looked at."""

log = logging.getLogger("tfcanary.run.trigger")


class Denied(Exception):
    """The caller is not let in; the text is for the log, the caller learns nothing."""


class Gate(Protocol):
    """Lets a caller in or not. May be called by several threads, and may block."""

    def check(self, authorization: str) -> None:
        """Takes the request's header. Raises Denied where its token is none of ours, Unavailable where nobody can tell."""


class Nobody:
    """No authentication: for loopback alone."""

    def check(self, authorization: str) -> None:
        """Everybody is let in."""


@dataclass(slots=True)
class TokenFile:
    """The one token, as its file has it now: a Secret that is mounted changes under a running process."""

    path: Path
    state: tuple[int, int, int] = (0, 0, 0)
    digest: bytes = b""

    def check(self, authorization: str) -> None:
        """Compared in constant time."""
        if not hmac.compare_digest(_hashed(bearer(authorization)), self.expected()):
            raise Denied("another token than the file's")

    def expected(self) -> bytes:
        """The hash of the token as the file has it now; raises Unavailable where it has none."""
        try:
            stat = os.stat(self.path)
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if state != self.state:
                token = self.path.read_text(encoding="ascii").strip()
                if len(token) < SHORTEST:
                    raise Unavailable(f"{self.path}: its token has fewer than {SHORTEST} characters")
                self.digest, self.state = _hashed(token), state
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self.path}: the token cannot be read ({error.__class__.__name__})") from None
        return self.digest


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@dataclass(slots=True)
class Signed:
    """Tokens of an issuer: signature, issuer, audience, time and caller must all be right."""

    of: Oidc
    _keys: Any = field(default=None, repr=False)

    def check(self, authorization: str) -> None:
        """Asks the issuer for its keys where they are not known, or a token names a new one."""
        import jwt

        token = bearer(authorization)
        try:
            key = self._client().get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self.of.audience,
                issuer=self.of.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable(f"{self.of.jwks_url}: the keys cannot be fetched") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Denied(f"{error.__class__.__name__}") from None
        self._check_caller(claims)

    def _check_caller(self, claims: dict[str, Any]) -> None:
        email = claims.get("email") if claims.get("email_verified") is True else ""
        if claims.get("sub") not in self.of.callers and email not in self.of.callers:
            raise Denied("none of the callers")

    def _client(self) -> Any:
        if self._keys is None:
            from jwt import PyJWKClient

            self._keys = PyJWKClient(self.of.jwks_url, cache_jwk_set=True, lifespan=KEPT, timeout=TIMEOUT)
        return self._keys


def gate(auth: Auth | None) -> Gate:
    """The gate that the settings ask for; raises Refused where its token cannot be read now."""
    if auth is None:
        return Nobody()
    if auth.oidc:
        return Signed(auth.oidc)
    file = TokenFile(Path(auth.token_file))
    try:
        file.expected()
    except Unavailable as error:
        raise Refused(f"auth.token_file: {error}") from error
    return file


def bearer(header: str) -> str:
    """The token of an Authorization header; raises Denied where it has none."""
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or len(token) > LONGEST:
        raise Denied("no bearer token")
    return token
