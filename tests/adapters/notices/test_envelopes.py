"""What is sent: the document, the CloudEvent, the message; and nothing that a name says is markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from tfcanary.adapters.notices import envelopes
from tfcanary.adapters.notices.envelopes import body_of, document, slack
from tfcanary.core.plan import NoticeFormat, NotifyPlan
from tfcanary.core.ports import Notice

KINDS = ("release.promoted", "release.rolled_back", "release.refused", "stage.advanced", "stage.awaits_approval", "drift.world")
DOCUMENT = Path(__file__).parents[3] / "docs" / "notifications.md"


def sent(notice: Notice, form: NoticeFormat) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(notice, form)[1])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", NoticeFormat)
def test_everything_that_is_told_can_be_sent_in_every_format(notice: Notice, kind: str, form: NoticeFormat) -> None:
    assert sent(replace(notice, kind=kind, candidate=None, stage=None), form)


def test_a_cloud_event_is_one_for_its_own_library(notice: Notice) -> None:
    content, body = body_of(notice, NoticeFormat.CLOUDEVENTS)
    event = from_structured_event(HTTPMessage({"content-type": content}, body))
    assert (event.get_specversion(), event.get_id(), event.get_type()) == ("1.0", notice.id, "dev.tfcanary.release.rolled_back")
    assert (event.get_source(), event.get_subject(), event.get_time()) == ("kube://serving/digits", "digits", notice.at)
    assert event.get_data() == document(notice)


def test_told_twice_the_bytes_are_the_same(notice: Notice) -> None:
    """Receivers drop what has the same source and id."""
    for form in NoticeFormat:
        assert body_of(notice, form) == body_of(replace(notice), form)


HOSTILE = [
    "<!channel>",
    "<https://evil.example|click here>",
    "a&b<c>d",
    "&lt;!here&gt;",
    "<@U012AB3CD>",
    "one\ntwo\u2028three\x00",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_and_no_reason_is_markup_for_slack(notice: Notice, name: str) -> None:
    said = slack(replace(notice, model=name, reason=name, run_id=name, platform=name, retrain=name))
    parts = [one["text"] for one in said["blocks"][:-1]] + said["blocks"][-1]["elements"]
    for text in (said["text"], *(part["text"] for part in parts)):
        assert not re.search(r"[<>]", text)
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert text.splitlines() == [text]
    assert len(parts) == 4
    assert all(part["verbatim"] for part in parts)


def test_what_is_escaped_reads_as_it_was(notice: Notice) -> None:
    from html import unescape

    name = "a&b<c>&amp;"
    assert unescape(slack(replace(notice, model=name))["text"]).startswith(f":leftwards_arrow_with_hook: {name}: version 3 is rolled back")


def test_a_reason_without_an_end_fits(notice: Notice) -> None:
    long = replace(notice, reason="&" * 100_000, model="&" * 100_000, retrain="m" * 100_000)
    assert all(len(one["text"]["text"]) <= 3000 for one in slack(long)["blocks"][:-1])
    assert len(document(long)["reason"]) == envelopes.LONGEST_REASON


@pytest.mark.parametrize("model", ["dïgits", "a b", "a%2Fb", "x\ny"])
def test_the_source_of_a_cloud_event_is_a_uri_whatever_the_model_is_called(notice: Notice, model: str) -> None:
    source = sent(replace(notice, model=model), NoticeFormat.CLOUDEVENTS)["source"]
    assert re.fullmatch(r"[A-Za-z0-9:/%._~-]+", source)


# docs/notifications.md


def example(form: str) -> dict[str, Any]:
    """The block of the document behind this mark."""
    found = re.search(rf"<!-- {form} -->\n+```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found, f"{DOCUMENT.name} has no example of {form}"
    decoded: dict[str, Any] = json.loads(found[1])
    return decoded


@pytest.mark.parametrize("form", NoticeFormat)
def test_the_example_of_the_document_is_what_is_sent(notice: Notice, form: NoticeFormat) -> None:
    assert sent(notice, form) == example(form.value)


def test_the_document_says_what_every_field_and_every_kind_is(notice: Notice) -> None:
    rows = set(re.findall(r"^\| `([a-z_.]+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    assert document(notice).keys() <= rows
    assert set(KINDS) == set(envelopes.TITLES) <= rows


def test_the_plan_of_the_document_is_one() -> None:
    import yaml

    from tfcanary.core import codec
    from tfcanary.core.plan import Plan

    (text,) = re.findall(r"```yaml\n(notify:.*?)```", DOCUMENT.read_text(), re.DOTALL)
    plan: Plan = codec.decode(Plan, yaml.safe_load(text))
    assert [one.format for one in plan.notify] == [NoticeFormat.SLACK, NoticeFormat.CLOUDEVENTS]
    assert all(isinstance(one, NotifyPlan) for one in plan.notify)
