"""The credentials for a Kubeflow Pipelines API: where they are read, and how they are renewed while a release is followed.

A multi-user Kubeflow takes no request without credentials. Which kind it takes depends on the way in: a token that its pods are
given, a session cookie (Dex, oauth2-proxy), or an identity token (Google's Identity-Aware Proxy, IAP).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.errors import Refused, Unavailable

POD_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
"""Where Kubeflow projects a pod's token for the API, unless KF_PIPELINES_SA_TOKEN_PATH names another file."""
CONTEXT = Path(".config") / "kfp" / "context.json"
"""The SDK's own settings below the home directory: a namespace, a cookie, a header."""
RENEW = 1800.0
"""Seconds for which a person's identity token is used: Google's are valid for an hour."""
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
INVERTING_PROXY = re.compile(r"https?://\S+\.googleusercontent\.com/?")
"""The address of a Google-hosted pipelines proxy, which takes an access token."""

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostAuth:
    """The credentials for a Kubeflow Pipelines API: one of three kinds, or none.

    Without any of them a pod uses the token that Kubeflow has mounted into it; other processes use what the KFP SDK would: its
    environment variables and its context file. Files are read again for each request, so that their owner may renew them.
    """

    token_file: str = ""
    """A file with a bearer token, which another program writes: the SDK's `existing_token`."""
    cookie_file: str = ""
    """A file with the value of the header `Cookie`, for example `authservice_session=...` of Dex: the SDK's `cookies`."""
    client_id: str = ""
    """The OAuth client id of the Identity-Aware Proxy in front of the API: the SDK's `client_id`. The identity is the service account of
    the process, by GOOGLE_APPLICATION_CREDENTIALS or by the metadata server, unless `app_client_id` asks for a person."""
    app_client_id: str = ""
    """The OAuth client id of a desktop application, by which a person logs in in a browser, once: the SDK's `other_client_id`."""
    app_client_secret_file: str = ""
    """A file with that application's client secret: the SDK's `other_client_secret`."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.token_file, self.cookie_file, self.client_id))) > 1:
            raise ValueError("host_auth: name only one of `token_file`, `cookie_file` and `client_id`")
        if bool(self.app_client_id) != bool(self.app_client_secret_file) or (self.app_client_id and not self.client_id):
            raise ValueError("host_auth: `app_client_id` needs `app_client_secret_file` and `client_id`")

    def below(self, folder: Path) -> HostAuth:
        """Return these credentials with paths that begin at `folder` where they are relative."""
        files = {name: getattr(self, name) for name in ("token_file", "cookie_file", "app_client_secret_file")}
        return replace(self, **{name: str(folder / path) for name, path in files.items() if path})


def read_auth(auth: HostAuth | Mapping[str, Any] | str | Path | None) -> HostAuth:
    """Return credentials unchanged, or decode them from a mapping or from a YAML or JSON file.

    Relative paths in a file begin at the file's folder. Raises Refused naming the wrong place.
    """
    if isinstance(auth, HostAuth):
        return auth
    if not auth:
        return HostAuth()
    at, document = ("host_auth", auth) if isinstance(auth, Mapping) else (str(auth), read_document(Path(auth)))
    decoded: HostAuth = codec.decode(HostAuth, document or {}, at=at)
    return decoded if isinstance(auth, Mapping) else decoded.below(Path(auth).parent)


class Credentials(Protocol):
    """Credentials that are renewed as needed."""

    def headers(self) -> Headers:
        """Return the headers of the next request. Raises Unavailable where the credentials cannot be had now."""


def credentials(auth: HostAuth, url: str) -> Credentials:
    """Return the credentials for the API at `url`; nothing is read or asked yet."""
    if auth.token_file:
        return FileHeader(Path(auth.token_file), "Authorization", "Bearer ")
    if auth.cookie_file:
        return FileHeader(Path(auth.cookie_file), "Cookie")
    if auth.app_client_id:
        return PersonToken(auth.client_id, auth.app_client_id, Path(auth.app_client_secret_file))
    if client_id := auth.client_id or os.environ.get("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", ""):
        return GoogleToken(client_id)
    if INVERTING_PROXY.fullmatch(url):
        return GoogleToken()
    pod_token = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or POD_TOKEN)
    return FileHeader(pod_token, "Authorization", "Bearer ") if pod_token.is_file() else SdkContext()


@dataclass(frozen=True, slots=True)
class FileHeader:
    """A header whose value is a file's content, read again for each request: the kubelet, or a person, replaces the file in time."""

    path: Path
    name: str
    prefix: str = ""

    def headers(self) -> Headers:
        """Return the header with the file's present content; raises Unavailable where the file cannot be read or is empty."""
        return {self.name: self.prefix + _read_secret(self.path)}


def _read_secret(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{path}: the credentials for KFP cannot be read ({error.__class__.__name__})") from None
    if not text or not text.isprintable():
        raise Unavailable(f"{path}: holds no credentials for KFP, which are one line of text")
    return text


@dataclass(slots=True)
class GoogleToken:
    """A token of the process's Google service account: an identity token for `audience`, without one an access token.

    Google's library knows when the token expires, and fetches a new one.
    """

    audience: str = ""
    _google: Any = field(default=None, repr=False)

    def headers(self) -> Headers:
        """Return the header with a valid token; raises Unavailable where Google gives none."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            self._google = self._google or self._find()
            if not self._google.valid:
                self._google.refresh(Request())
        except GoogleAuthError as error:
            raise Unavailable(f"Google gives no token for KFP: {' '.join(str(error).split())[:200]}") from error
        return {"Authorization": f"Bearer {self._google.token}"}

    def _find(self) -> Any:
        import google.auth
        from google.oauth2 import id_token

        if not self.audience:
            return google.auth.default(scopes=[CLOUD])[0]
        return id_token.fetch_id_token_credentials(self.audience)  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class PersonToken:
    """An identity token of a person, by the SDK's own way: a browser at the first time, then a refresh token that the SDK stores."""

    client_id: str
    app_client_id: str
    app_client_secret_file: Path
    _token: str = field(default="", repr=False)
    _since: float = 0.0

    def headers(self) -> Headers:
        """Return the header with a token of at most RENEW seconds; raises Unavailable where Google gives none."""
        if not self._token or time.monotonic() - self._since >= RENEW:
            self._token, self._since = self._fetch(), time.monotonic()
        return {"Authorization": f"Bearer {self._token}"}

    def _fetch(self) -> str:
        import requests
        from google.auth.exceptions import GoogleAuthError
        from kfp.client import auth

        try:
            token, _ = auth.get_auth_token(self.client_id, self.app_client_id, _read_secret(self.app_client_secret_file))
        except (GoogleAuthError, requests.RequestException, OSError, ValueError, KeyError) as error:
            raise Unavailable(f"Google gives no token for KFP: {error.__class__.__name__}") from error
        if not token:
            raise Unavailable("Google gives no token for KFP")
        return str(token)


class SdkContext:
    """The cookie and the header of the SDK's context file, where it has them; else no credentials."""

    def headers(self) -> Headers:
        """Return the headers that the context file names now; it may have none."""
        context = read_context()
        cookie, name = context.get("client_authentication_cookie"), context.get("client_authentication_header_name")
        cookies = {"Cookie": str(cookie)} if cookie else {}
        return {**cookies, **({str(name): str(context.get("client_authentication_header_value", ""))} if name else {})}


def read_context() -> Mapping[str, Any]:
    """Return the SDK's context file, in which `kfp.Client().set_user_namespace` writes; raises Refused where it is no JSON object."""
    path = Path(os.path.expanduser("~")) / CONTEXT
    if not path.is_file():
        return {}
    try:
        context = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: is not the KFP SDK's context ({error.__class__.__name__}); correct or remove it") from error
    if not isinstance(context, Mapping):
        raise Refused(f"{path}: is not the KFP SDK's context; correct or remove it")
    return context
