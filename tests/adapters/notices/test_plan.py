"""What a plan may say about receivers, and that no address is shown."""

from __future__ import annotations

import json

import pytest

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import MOST_RECEIVERS, NoticeFormat, NotifyPlan, Occasion, Plan
from tfcanary.report.departures import departures


def decoded(*receivers: object) -> Plan:
    found: Plan = codec.decode(Plan, {"notify": list(receivers)}, at="plan")
    return found


def test_a_receiver_is_told_of_ends_and_of_a_world_that_drifts_as_json() -> None:
    (one,) = decoded({"url": "https://events.example.com/canary"}).notify
    assert (one.format, one.when) == (NoticeFormat.JSON, (Occasion.END, Occasion.APPROVAL, Occasion.DRIFT))


def test_the_plan_survives_the_way_through_kubeflow() -> None:
    """A parameter of the run: what is at its default is left out, and there is no null."""
    plan = decoded(
        {"url": "http://sink.events:8080/canary", "format": "cloudevents"}, {"url_file": "/etc/tfcanary/notify/slack", "when": ["end"]}
    )
    parameter = json.loads(json.dumps(codec.brief(plan)))
    assert codec.decode(Plan, parameter) == plan
    assert "null" not in json.dumps(parameter)


SECRETS = [
    "https://jane:s3cr3t@events.example.com/canary",
    "https://s3cr3t@events.example.com/canary",
    "https://events.example.com/canary?token=s3cr3t",
    "https://events.example.com/canary#s3cr3t",
    "https://hooks.slack.com/services/T00000000/B00000000/s3cr3t",
    "https://hooks.zapier.com/hooks/catch/s3cr3t/abc",
    "https://acme.webhook.office.com/s3cr3t",
    "https://discord.com/api/webhooks/1/s3cr3t-AbCdEf0123456789_AbCdEf",
    "https://events.example.com/s3cr3tAbCdEf0123456789",
    "https://events.example.com/s3cr3tABCDEFGHIJKLMNOPQRSTUVWX/canary",
    "https://events.example.com/%733cr3tAbCdEf0123456789",
    "https://api.telegram.example/bot110201543:s3cr3tAbCdEf0123456789/sendMessage",
]


@pytest.mark.parametrize("url", SECRETS)
def test_an_address_that_looks_like_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refused, match=r"plan\.notify\[0\]: url: .*`url_file`") as refused:
        decoded({"url": url})
    assert not any(word in str(refused.value) for word in ("s3cr3t", "733cr3t", "jane"))


@pytest.mark.parametrize(
    "url", ["events.example.com", "ftp://a/s3cr3t", "http://", "https://a b/s3cr3t", "http://a:99999/s3cr3t", "http://[::1/s3cr3t"]
)
def test_what_is_no_http_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refused, match=r"plan\.notify\[0\]: url: must be") as refused:
        decoded({"url": url})
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("receiver", "sentence"),
    [
        ({}, "url, url_file: exactly one of them must be given"),
        ({"url": "https://a.example", "url_file": "/a"}, "exactly one of them"),
        ({"url_file": "slack"}, "url_file 'slack': must be an absolute path"),
        ({"url": "https://a.example", "when": []}, "when: must name at least one of end, stage, approval, drift"),
        ({"url": "https://a.example", "when": ["ends"]}, "'ends' is not one of end, stage, approval, drift"),
        ({"url": "https://a.example", "format": "xml"}, "'xml' is not one of json, slack, cloudevents"),
    ],
)
def test_a_receiver_that_makes_no_sense_is_refused_by_its_field(receiver: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        decoded(receiver)
    assert sentence in str(refused.value)


def test_there_are_not_more_receivers_than_a_step_has_time_for() -> None:
    one = {"url": "https://a.example"}
    assert len(decoded(*[one] * MOST_RECEIVERS).notify) == MOST_RECEIVERS
    with pytest.raises(Refused, match=f"notify: has {MOST_RECEIVERS + 1} receivers; at most {MOST_RECEIVERS} are told"):
        decoded(*[one] * (MOST_RECEIVERS + 1))


def test_people_are_shown_the_host_and_no_address() -> None:
    plan = decoded({"url": "https://events.example.com:8443/team-a/canary"}, {"url_file": "/etc/tfcanary/notify/slack", "format": "slack"})
    (shown,) = departures(plan)
    assert (shown.field, shown.here, shown.weaker) == (
        "notify",
        "json to events.example.com:8443, slack to the address in /etc/tfcanary/notify/slack",
        False,
    )
    assert "team-a" not in f"{plan!r}{plan}{NotifyPlan(url='https://a.example/team-a')!r}"
