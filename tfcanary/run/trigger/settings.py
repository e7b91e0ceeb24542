"""The settings of a trigger: its models, where their versions appear, how each is released, and who may call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from urllib.parse import urlsplit

from tfcanary.core import codec
from tfcanary.core.documents import read_document
from tfcanary.core.domain import NAME
from tfcanary.core.durations import written
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan, seconds
from tfcanary.run.submit import check_image
from tfcanary.run.submit.handle import read_plan
from tfcanary.run.submit.host_auth import HostAuth
from tfcanary.run.submit.parameters import check_size, run_parameters
from tfcanary.run.trigger import uris
from tfcanary.run.web.bounded_server import LOOPBACK

VERSION_NAME = 20
"""Characters of a version's name for which a run's parameters have room."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a release runs: the options of `tfcanary release`."""

    platform: str
    """The platform that serves the models: kube://<namespace> or local:///<state folder>."""
    host: str = ""
    """The endpoint of a Kubeflow Pipelines API; empty means that the pipeline runs on this machine."""
    host_ui: str = ""
    """The address at which people open that host's pages; empty means `host`."""
    host_auth: HostAuth = HostAuth()
    """The credentials for that host."""
    image: str = ""
    """The image in which the steps run on that host; may be empty where the package was compiled for an image."""
    service_account: str = ""
    """The Kubernetes service account of the steps on that host; empty means the host's default account."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model whose versions are released."""

    exports: str
    """The folder below which the model's versions appear: `gs://bucket/folder`, `s3://bucket/folder` or a directory."""
    plan: Plan | None = None
    plan_file: str = ""
    """A file with the plan, in place of `plan`; a relative path begins at the settings' folder."""
    complete: str = ""
    """The object that is written last into a version, for example `_SUCCESS`. Empty means that there is none: a version is complete when it
    has a `saved_model.pb` and its listing has not changed for `settle`."""
    settle: timedelta = seconds(60)
    """How long a version without `complete` must stay unchanged: longer than a pause between two objects of one copy."""

    def __post_init__(self) -> None:
        if (self.plan is None) == (not self.plan_file):
            raise ValueError("plan: name either `plan` or `plan_file`")
        if self.complete and not uris.is_name(self.complete):
            raise ValueError(f"complete {self.complete!r}: must be the plain name of an object")
        if not seconds(0) < self.settle <= seconds(3600):
            raise ValueError(f"settle {written(self.settle)}: must be above 0 and at most an hour")

    @property
    def resolved_plan(self) -> Plan:
        """The plan, after `read` has put the one of `plan_file` in its place."""
        assert self.plan is not None
        return self.plan


@dataclass(frozen=True, slots=True)
class Oidc:
    """Tokens that an issuer signs: Google for Pub/Sub and Eventarc, a cluster for its service accounts."""

    issuer: str
    """The claim `iss` of the tokens."""
    audience: str
    """The claim `aud` of the tokens."""
    jwks_url: str
    """The address of the issuer's public keys: https, or http on this machine."""
    callers: tuple[str, ...]
    """The callers that are let in, by the claim `sub` or a verified `email`. There is no "all": Google signs a token for any audience for everybody."""

    def __post_init__(self) -> None:
        if not all((self.issuer, self.audience, self.callers)) or "" in self.callers:
            raise ValueError("oidc: issuer, audience and callers must not be empty")
        parsed = urlsplit(self.jwks_url)
        if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.hostname in LOOPBACK):
            raise ValueError(f"jwks_url {self.jwks_url!r}: must begin with https://")


@dataclass(frozen=True, slots=True)
class Auth:
    """How callers are recognised: by a bearer token of one of two kinds."""

    token_file: str = ""
    """The file that holds the one token; it is read again when it changes. A relative path begins at the settings' folder."""
    oidc: Oidc | None = None

    def __post_init__(self) -> None:
        if (self.oidc is None) == (not self.token_file):
            raise ValueError("auth: name either `token_file` or `oidc`")


@dataclass(frozen=True, slots=True)
class Settings:
    """The document that `tfcanary trigger serve` reads."""

    platform: str
    models: Mapping[str, Source]
    """The models, each by the name under which TensorFlow Serving serves it."""
    auth: Auth | None
    """Who may call. The settings must name it: the word `none` lets everybody in, and is refused on addresses that other machines reach."""
    host: str = ""
    """The endpoint of a Kubeflow Pipelines API; empty means that pipelines run on this machine."""
    host_ui: str = ""
    """The address at which people open that host's pages; empty means `host`."""
    host_auth: HostAuth = HostAuth()
    """The credentials for that host; relative paths in it begin at the settings' folder."""
    image: str = ""
    """The image in which the steps run on that host; may be empty where the package was compiled for an image."""
    service_account: str = ""
    """The Kubernetes service account of the steps on that host; empty means the host's default account."""
    alerts: bool = True
    """Whether firing alerts roll back the active release."""
    every: timedelta = field(default=seconds(5))
    """Time between two looks for a candidate whose turn it is; an event causes a look at once."""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models: must name at least one model")
        if wrong := next((name for name in self.models if not NAME.fullmatch(name)), None):
            raise ValueError(f"models: {wrong!r} is no name; use at most 50 lower-case letters, digits and hyphens")
        if not seconds(1) <= self.every <= seconds(300):
            raise ValueError(f"every {written(self.every)}: must be from 1s to 5m")

    @property
    def target(self) -> Target:
        """Where the releases run."""
        return Target(self.platform, self.host, self.host_ui, self.host_auth, self.image, self.service_account)


def read(file: Path) -> Settings:
    """Decode a settings file and the plan files that it names; raises Refused naming the file and the place in it."""
    settings: Settings = codec.decode(Settings, read_document(file), at=str(file))
    models = {name: _resolve(source, file, f"{file}.models.{name}") for name, source in settings.models.items()}
    if settings.host:
        check_image(settings.image, at=f"{file}.image")
    for name, source in models.items() if settings.host else ():
        check_plan_size(source.exports, name, settings.platform, source.resolved_plan, at=f"{file}.models.{name}.plan")
    for one, other in permutations(models, 2):
        inner, outer = models[one].exports, models[other].exports
        if inner == outer or uris.is_below(inner, outer):
            raise Refused(f"{file}: the exports of {one} lie in those of {other}: nobody could tell whose a version there is")
    auth = settings.auth
    if auth and auth.token_file:
        auth = replace(auth, token_file=str(file.parent / auth.token_file))
    return replace(settings, models=models, auth=auth, host_auth=settings.host_auth.below(file.parent))


def check_plan_size(folder: str, model: str, platform: str, plan: Plan, at: str = "plan") -> None:
    """Check that a KFP host takes the releases of a folder's versions; raises Refused naming the plan (`at`) where it is too large."""
    check_size(run_parameters(f"{folder}/{'0' * VERSION_NAME}", model, platform, plan), at)


def _resolve(source: Source, file: Path, at: str) -> Source:
    try:
        exports = uris.normalise(source.exports)
    except Refused as error:
        raise Refused(f"{at}.exports: {error}") from error
    return replace(source, exports=exports, plan=source.plan or read_plan(file.parent / source.plan_file), plan_file="")


def check_address(settings: Settings, address: str) -> None:
    """Check the address on which the server will listen; raises Refused where everybody on a network could start releases."""
    if settings.auth is None and address not in LOOPBACK:
        raise Refused(
            f"--host-address {address}: with `auth: none` only this machine may ask; bind 127.0.0.1, or name a token_file or oidc"
        )
