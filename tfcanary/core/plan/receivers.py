"""The part of a plan about who is told how a release ends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, unquote, urlsplit

MOST_RECEIVERS = 4
"""Each that does not answer takes half a minute of whoever tells; more are a job for something that passes messages on."""
LONGEST_ADDRESS = 2048
"""Characters of an address."""
SECRET = "tfcanary-notify"
"""The Secret whose keys are addresses ..."""
SECRETS = "/etc/tfcanary/notify"
"""... and where the pods of the guard, and of the steps that tell, mount it from their own namespace, where there is one."""

HOOKS = frozenset({"hook", "hooks", "webhook", "webhooks"})
"""A part of the host name of services whose addresses are their own passwords."""
TOKEN = re.compile(r"[A-Za-z0-9]{24,}|(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_=:-]{20,}")
"""A part of a path that nobody has made up to be read."""
INSTEAD = "the plan is kept in the record and shown to people: put the address into a file and name that one in `url_file`"


class NoticeFormat(StrEnum):
    """The form of what a receiver gets."""

    JSON = "json"
    """The document of docs/notifications.md."""
    SLACK = "slack"
    """Text and blocks of an incoming webhook."""
    CLOUDEVENTS = "cloudevents"
    """CloudEvents 1.0, structured mode, with the same document as data."""


class Occasion(StrEnum):
    """When somebody is told."""

    END = "end"
    """The release was promoted, rolled back or refused."""
    STAGE = "stage"
    """A stage has ended, and the next one follows."""
    APPROVAL = "approval"
    """A stage went well and waits for a person's approval."""
    DRIFT = "drift"
    """The world has drifted: stable needs retraining, whatever the candidate is like."""


@dataclass(frozen=True, slots=True)
class NotifyPlan:
    """One receiver. It is told last of all, and whether it answers changes no release."""

    url: str = field(default="", repr=False)
    """An http or https address that is no secret."""
    url_file: str = ""
    """Instead of `url`, for an address that is a secret: the absolute path of a file that holds it, below SECRETS in the pods of a cluster."""
    format: NoticeFormat = NoticeFormat.JSON
    when: tuple[Occasion, ...] = (Occasion.END, Occasion.APPROVAL, Occasion.DRIFT)

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.url_file):
            raise ValueError("url, url_file: exactly one of them must be given")
        if self.url_file and not self.url_file.startswith("/"):
            raise ValueError(f"url_file {self.url_file!r}: must be an absolute path, for example {SECRETS}/slack")
        if self.url and (wrong := secret_in(address("url", self.url))):
            raise ValueError(f"url: {wrong}; {INSTEAD}")
        if not self.when:
            raise ValueError(f"when: must name at least one of {', '.join(Occasion)}")

    def __str__(self) -> str:
        """Without the address but for its host."""
        return f"{self.format.value} to {self.place}"

    @property
    def place(self) -> str:
        """Whom people are told about: the host, or the file."""
        return host(urlsplit(self.url)) if self.url else f"the address in {self.url_file}"


def address(name: str, text: str) -> SplitResult:
    """The parts of an address. Raises ValueError, which names the field and never the address, where it is none."""
    if len(text) > LONGEST_ADDRESS or not text.isprintable() or " " in text:
        raise ValueError(f"{name}: must be an address of at most {LONGEST_ADDRESS:,} characters, without spaces")
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"{name}: must be an http or https address, for example https://example.com/canary")
    return parts


def secret_in(parts: SplitResult) -> str:
    """What of an address looks like a secret; empty where nothing does."""
    if parts.username is not None or parts.password is not None:
        return "has a user name or a password in it"
    if parts.query or parts.fragment:
        return "has something behind `?` or `#`, where tokens are"
    if HOOKS & set((parts.hostname or "").split(".")):
        return f"is a webhook of {parts.hostname}, which is its own password"
    if any(TOKEN.fullmatch(part) for part in unquote(parts.path).split("/")):
        return "has a part that looks like a token"
    return ""


def host(parts: SplitResult) -> str:
    """The host, and the port where one is given: all that is ever shown of an address."""
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
