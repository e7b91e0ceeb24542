"""The bodies of notices: a JSON document, the document in a CloudEvent, or a message for Slack. Pure.

Names of models and reasons come from other people: each is put on one line, cut to a length, and escaped where it is read as markup.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any
from urllib.parse import quote

from tfcanary.core.plan import NoticeFormat
from tfcanary.core.ports import Notice

TYPE_PREFIX = "dev.tfcanary."
"""The beginning of each CloudEvent's type."""
LONGEST_REASON = 1000
"""Characters of a reason in the document, at most."""
LONGEST_SLACK_REASON = 500
"""Characters of a reason for Slack, at most: a block takes 3,000, and escaping makes up to five of one."""
LONGEST_NAME = 100
"""Characters of a model's or a run's name, at most."""
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
    """The content type and the bytes of a notice in a receiver's format."""
    if form is NoticeFormat.CLOUDEVENTS:
        return cloud_event(notice)
    body = slack(notice) if form is NoticeFormat.SLACK else document(notice)
    return "application/json", json.dumps(body, allow_nan=False).encode()


def document(notice: Notice) -> Json:
    """The notice as a JSON document; docs/notifications.md describes its fields."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "at": notice.at.astimezone(UTC).isoformat(timespec="seconds"),
        "platform": notice.platform,
        "model": notice.model,
        "run_id": notice.run_id,
        "state": notice.state,
        "reason": one_line(notice.reason, LONGEST_REASON),
        "candidate": notice.candidate,
        "stable": notice.stable,
        "stage": notice.stage,
        "weight": notice.weight,
        "retrain": notice.retrain,
    }


def cloud_event(notice: Notice) -> tuple[str, bytes]:
    """The content type and the bytes of a CloudEvent 1.0 in structured mode."""
    from cloudevents.core.bindings.http import to_structured_event
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "id": notice.id,
        "source": quote(f"{notice.platform}/{notice.model}", safe="/:"),
        "type": TYPE_PREFIX + notice.kind,
        "time": notice.at.astimezone(UTC),
        "subject": notice.model,
        "datacontenttype": "application/json",
    }
    message = to_structured_event(CloudEvent(attributes, document(notice)))
    return message.headers["content-type"], message.body


def slack(notice: Notice) -> Json:
    """A message for Slack's incoming webhook: `text` is shown in the notification, the blocks in the channel."""
    names = {"model": one_line(notice.model, LONGEST_NAME), "candidate": notice.candidate or "?", "stage": notice.stage}
    title = escape(TITLES[notice.kind].format(**names))
    reason = escape(one_line(notice.reason, LONGEST_SLACK_REASON))
    asks = escape(f"Asked to retrain: {one_line(notice.retrain, LONGEST_NAME)}") if notice.retrain else ""
    where = f"{one_line(notice.platform, LONGEST_NAME)}, run {one_line(notice.run_id, LONGEST_NAME)}"
    sections = [{"type": "section", "text": _markdown(part)} for part in (f"*{title}*", reason, asks) if part]
    context = {"type": "context", "elements": [_markdown(escape(where))]}
    return {"text": f"{title}: {reason}", "unfurl_links": False, "blocks": [*sections, context]}


def _markdown(text: str) -> Json:
    """A text block; `verbatim` keeps Slack from making links, channels or people of words."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def escape(text: str) -> str:
    """Escape the three characters of Slack's markup: without them no text becomes a link, a person or a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_line(text: str, longest: int) -> str:
    """The text on one line, cut to at most `longest` characters."""
    words = " ".join(text.split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
