"""What is sent: one document, as it is, in a CloudEvent, or as a message for Slack. Pure.

The names of models, and reasons, are other people's words: one line each, bounded, and escaped where they are read as markup.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any
from urllib.parse import quote

from tfcanary.core.plan import NoticeFormat
from tfcanary.core.ports import Notice

TYPE = "dev.tfcanary."
"""What the types of the CloudEvents begin with."""
LONGEST_REASON = 1000
"""Characters."""
LONGEST_TOLD = 500
"""The same for Slack, which takes 3,000 in a block: escaping may make five of one."""
LONGEST_NAME = 100
"""Characters of a model's or a run's name."""
TITLES = {
    "release.promoted": ":white_check_mark: {model}: version {candidate} is promoted",
    "release.rolled_back": ":leftwards_arrow_with_hook: {model}: version {candidate} is rolled back",
    "release.refused": ":no_entry: {model}: the candidate is refused",
    "stage.advanced": ":arrow_forward: {model}: version {candidate} goes on after stage {stage}",
    "stage.awaits_approval": ":raised_hand: {model}: version {candidate} waits for approval after stage {stage}",
    "drift.world": ":ocean: {model}: the world has drifted",
}

Json = dict[str, Any]


def body_of(notice: Notice, form: NoticeFormat) -> tuple[str, bytes]:
    """The content type and the bytes."""
    if form is NoticeFormat.CLOUDEVENTS:
        return cloud_event(notice)
    found = slack(notice) if form is NoticeFormat.SLACK else document(notice)
    return "application/json", json.dumps(found, allow_nan=False).encode()


def document(notice: Notice) -> Json:
    """The notice as JSON: docs/notifications.md says what each field is."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "at": notice.at.astimezone(UTC).isoformat(timespec="seconds"),
        "platform": notice.platform,
        "model": notice.model,
        "run_id": notice.run_id,
        "state": notice.state,
        "reason": line(notice.reason, LONGEST_REASON),
        "candidate": notice.candidate,
        "stable": notice.stable,
        "stage": notice.stage,
        "weight": notice.weight,
        "retrain": notice.retrain,
    }


def cloud_event(notice: Notice) -> tuple[str, bytes]:
    """Content type and bytes of a CloudEvent 1.0 in structured mode."""
    from cloudevents.core.bindings.http import to_structured_event
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "id": notice.id,
        "source": quote(f"{notice.platform}/{notice.model}", safe="/:"),
        "type": TYPE + notice.kind,
        "time": notice.at.astimezone(UTC),
        "subject": notice.model,
        "datacontenttype": "application/json",
    }
    message = to_structured_event(CloudEvent(attributes, document(notice)))
    return message.headers["content-type"], message.body


def slack(notice: Notice) -> Json:
    """A message of an incoming webhook: `text` for the notification, blocks for the channel."""
    names = {"model": line(notice.model, LONGEST_NAME), "candidate": notice.candidate or "?", "stage": notice.stage}
    title = escaped(TITLES[notice.kind].format(**names))
    reason = escaped(line(notice.reason, LONGEST_TOLD))
    asks = escaped(f"Asked to retrain: {line(notice.retrain, LONGEST_NAME)}") if notice.retrain else ""
    where = f"{line(notice.platform, LONGEST_NAME)}, run {line(notice.run_id, LONGEST_NAME)}"
    said = [{"type": "section", "text": _markdown(part)} for part in (f"*{title}*", reason, asks) if part]
    context = {"type": "context", "elements": [_markdown(escaped(where))]}
    return {"text": f"{title}: {reason}", "unfurl_links": False, "blocks": [*said, context]}


def _markdown(text: str) -> Json:
    """Verbatim: Slack makes no links, channels or people of words."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def escaped(text: str) -> str:
    """As Slack wants it: without these three nothing is a link, a person or a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def line(text: str, longest: int) -> str:
    """On one line, and at most so long."""
    words = " ".join(text.split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
