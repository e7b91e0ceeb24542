"""The settings of a trigger: which models, where their versions appear, how each is released, and who may say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tfcanary.core import codec
from tfcanary.core.domain import NAME
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan, seconds
from tfcanary.run.trigger import uris

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that only this machine reaches."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a release runs: what `tfcanary release` takes as options."""

    platform: str
    """kube://<namespace> or local:///<state folder>."""
    host: str = ""
    """A Kubeflow Pipelines endpoint; empty: the pipeline runs on this machine."""
    image: str = ""
    """The image in which the steps run on that host; empty: the one that the package names."""
    service_account: str = ""
    """As whom the steps run on that host; empty: the host's own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model whose versions are released."""

    exports: str
    """The folder below which its versions appear: `gs://bucket/folder` or a directory."""
    plan: Plan | None = None
    plan_file: str = ""
    """The plan as a file, in place of `plan`; relative to the settings."""
    complete: str = ""
    """The object whose arrival says that a version is complete, for example `_SUCCESS`: written last, by whoever copies the version.
    Empty: none is; a version is complete when it has a `saved_model.pb` and its listing has not changed for `settle`."""
    settle: timedelta = seconds(60)
    """Longer than a pause between two objects of one copy. Only without `complete`."""

    def __post_init__(self) -> None:
        if (self.plan is None) == (not self.plan_file):
            raise ValueError("plan: name either `plan` or `plan_file`")
        if self.complete and not uris.PART.fullmatch(self.complete):
            raise ValueError(f"complete {self.complete!r}: must be the plain name of an object")
        if not seconds(0) < self.settle <= seconds(3600):
            raise ValueError(f"settle {self.settle}: must be above 0 and at most an hour")

    @property
    def decided(self) -> Plan:
        """The plan, once it is read."""
        assert self.plan is not None
        return self.plan


@dataclass(frozen=True, slots=True)
class Oidc:
    """Tokens that somebody else signs: Google for Pub/Sub and Eventarc, a cluster for its service accounts."""

    issuer: str
    """Whose `iss` they carry."""
    audience: str
    """Whom they are for: `aud`."""
    jwks_url: str
    """Where the issuer's public keys are; https, or http on this machine."""
    callers: tuple[str, ...]
    """Whose tokens are taken: `sub`, or a verified `email`. There is no "all": Google signs a token for any audience for everybody."""

    def __post_init__(self) -> None:
        if not all((self.issuer, self.audience, self.callers)) or "" in self.callers:
            raise ValueError("oidc: issuer, audience and callers must not be empty")
        parsed = urlsplit(self.jwks_url)
        if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.hostname in LOOPBACK):
            raise ValueError(f"jwks_url {self.jwks_url!r}: must begin with https://")


@dataclass(frozen=True, slots=True)
class Auth:
    """How a caller shows who he is: a bearer token, in one of two kinds."""

    token_file: str = ""
    """The file that holds the one token; read again when it changes. Relative to the settings."""
    oidc: Oidc | None = None

    def __post_init__(self) -> None:
        if (self.oidc is None) == (not self.token_file):
            raise ValueError("auth: name either `token_file` or `oidc`")


@dataclass(frozen=True, slots=True)
class Settings:
    """The document that `tfcanary trigger serve` reads."""

    platform: str
    models: Mapping[str, Source]
    """By the name under which TensorFlow Serving serves it."""
    auth: Auth | None
    """`none`, in so many words, only where nobody but this machine can ask."""
    host: str = ""
    image: str = ""
    service_account: str = ""
    alerts: bool = True
    """Whether firing alerts roll releases back."""
    every: timedelta = field(default=seconds(5))
    """Time between two looks for a free road; an event makes the next one come at once."""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models: must name at least one model")
        if wrong := next((name for name in self.models if not NAME.fullmatch(name)), None):
            raise ValueError(f"models: {wrong!r} is no name; use at most 50 lower-case letters, digits and hyphens")
        if not seconds(1) <= self.every <= seconds(300):
            raise ValueError(f"every {self.every}: must be from 1s to 5m")

    @property
    def target(self) -> Target:
        """Where releases run."""
        return Target(self.platform, self.host, self.image, self.service_account)


def read(file: Path) -> Settings:
    """Decode a settings file and the plans that it names; raises Refused naming the file and the place in it."""
    settings: Settings = codec.decode(Settings, codec.read_document(file), at=str(file))
    models = {name: _resolved(source, file, f"{file}.models.{name}") for name, source in settings.models.items()}
    for one, other in permutations(models, 2):
        inner, outer = models[one].exports, models[other].exports
        if inner == outer or uris.is_below(inner, outer):
            raise Refused(f"{file}: the exports of {one} lie in those of {other}: nobody could tell whose a version there is")
    auth = settings.auth
    if auth and auth.token_file:
        auth = replace(auth, token_file=str(file.parent / auth.token_file))
    return replace(settings, models=models, auth=auth)


def _resolved(source: Source, file: Path, at: str) -> Source:
    try:
        exports = uris.normalised(source.exports)
    except Refused as error:
        raise Refused(f"{at}.exports: {error}") from error
    return replace(source, exports=exports, plan=source.plan or _plan(file.parent / source.plan_file), plan_file="")


def _plan(file: Path) -> Plan:
    document: Any = codec.read_document(file)
    decoded: Plan = codec.decode(Plan, {} if document is None else document, at=str(file))
    return decoded


def check_address(settings: Settings, address: str) -> None:
    """Raises Refused where anybody on a network could start releases."""
    if settings.auth is None and address not in LOOPBACK:
        raise Refused(
            f"--host-address {address}: with `auth: none` only this machine may ask; bind 127.0.0.1, or name a token_file or oidc"
        )
