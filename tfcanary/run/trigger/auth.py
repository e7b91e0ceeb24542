"""Who may call the trigger: a caller with the one token, or with a token that an issuer signed. What a caller sent is never logged."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tfcanary.core.errors import Refused, Unavailable
from tfcanary.run.trigger.settings import Auth, Oidc

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The signatures that are accepted: asymmetric ones alone, because with the others everybody who knows the public key could sign."""
LEEWAY = 30.0
"""Seconds by which the clocks of issuer and trigger may differ."""
TIMEOUT = 5.0
"""Seconds that a request for the issuer's keys may take."""
KEPT = 300.0
"""Seconds for which the issuer's keys are used before they are fetched again."""
REFRESH = 30.0
"""Seconds between two fetches of the keys because of an unknown key id: an issuer changes its keys within hours."""
SHORTEST = 16
"""Characters of a token: shorter ones can be guessed."""
LONGEST = 16_384
"""Characters of a token: longer ones are not looked at."""

log = logging.getLogger("tfcanary.run.trigger")


class Denied(Exception):
    """The caller is not let in. The message is for the log; the caller is not told the reason."""


class Authenticator(Protocol):
    """Decides whether a caller is let in. It may be called by several threads, and may block."""

    def check(self, authorization: str) -> None:
        """Check the request's header `Authorization`. Raises Denied where its token is not accepted, Unavailable where that cannot be found out."""


class NoAuthentication:
    """Lets every caller in; for addresses that only this machine reaches."""

    def check(self, authorization: str) -> None:
        """Let every caller in, whatever the header is."""


@dataclass(slots=True)
class TokenFile:
    """Accepts the one token in a file, which is read again when it changes, as a mounted Secret does."""

    path: Path
    state: tuple[int, int, int] = (0, 0, 0)
    """Inode, size and time of change of the file that was read last."""
    digest: bytes = b""

    def check(self, authorization: str) -> None:
        """Compare the header's token with the file's, in constant time. Raises Denied where they differ, Unavailable as `expected` does."""
        if not hmac.compare_digest(_hash(bearer(authorization)), self.expected()):
            raise Denied("another token than the file's")

    def expected(self) -> bytes:
        """Return the hash of the token that the file holds now; raises Unavailable where it cannot be read or is too short."""
        try:
            stat = os.stat(self.path)
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if state != self.state:
                token = self.path.read_text(encoding="ascii").strip()
                if len(token) < SHORTEST:
                    raise Unavailable(f"{self.path}: its token has fewer than {SHORTEST} characters")
                self.digest, self.state = _hash(token), state
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self.path}: the token cannot be read ({error.__class__.__name__})") from None
        return self.digest


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


@dataclass(slots=True)
class SignedToken:
    """Accepts tokens that an OpenID Connect issuer signed: signature, issuer, audience, time and caller must all be right."""

    oidc: Oidc
    _keys: Any = field(default=None, repr=False)
    _refreshed: float = -math.inf
    """When the keys were last fetched because of an unknown key id, by a clock that nobody can set."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, authorization: str) -> None:
        """Verify the header's token. Raises Denied where something of it is wrong, Unavailable where the issuer's keys cannot be fetched."""
        import jwt

        token = bearer(authorization)
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=list(ALGORITHMS),
                audience=self.oidc.audience,
                issuer=self.oidc.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable(f"{self.oidc.jwks_url}: the keys cannot be fetched") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Denied(f"{error.__class__.__name__}") from None
        email = claims.get("email") if claims.get("email_verified") is True else ""
        if claims.get("sub") not in self.oidc.callers and email not in self.oidc.callers:
            raise Denied("none of the callers")

    def _key(self, key_id: Any) -> Any:
        """The issuer's key with an id, from the keys that are kept or, at most once in REFRESH, from newly fetched ones.

        The id comes from a token whose signature is not verified yet, so strangers could otherwise make each call a fetch. Raises Denied.
        """
        with self._lock:
            if self._keys is None:
                from jwt import PyJWKClient

                self._keys = PyJWKClient(self.oidc.jwks_url, cache_jwk_set=True, lifespan=KEPT, timeout=TIMEOUT)
            keys = self._keys.get_signing_keys()
            if all(key.key_id != key_id for key in keys) and time.monotonic() - self._refreshed >= REFRESH:
                self._refreshed = time.monotonic()
                keys = self._keys.get_signing_keys(refresh=True)
        found = next((key for key in keys if key.key_id == key_id), None)
        if found is None:
            raise Denied("no key of the issuer has the token's key id")
        return found


def authenticator(auth: Auth | None) -> Authenticator:
    """Return the authenticator that the settings ask for; raises Refused where its token file cannot be read now."""
    if auth is None:
        return NoAuthentication()
    if auth.oidc:
        return SignedToken(auth.oidc)
    file = TokenFile(Path(auth.token_file))
    try:
        file.expected()
    except Unavailable as error:
        raise Refused(f"auth.token_file: {error}") from error
    return file


def bearer(header: str) -> str:
    """Return the bearer token of an Authorization header; raises Denied where it has none, or one of more than LONGEST characters."""
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token or len(token) > LONGEST:
        raise Denied("no bearer token")
    return token
