"""What the doctor asks of a KFP host."""

from __future__ import annotations

import pytest

from tests.adapters.kubeclient.api_server import Told
from tests.run.submit.kfp_host import JSON, NEW, OLD, Host
from tfcanary.core.domain import Evidence
from tfcanary.run import submit


def finding(url: str) -> Evidence:
    (found,) = submit.examine(url).evidence
    assert found.about == "doctor/pipelines"
    return found


def test_a_host_that_answers_is_named_with_its_version(host: Host) -> None:
    found = finding(host.url)
    assert (found.finding.value, found.reason) == ("pass", f"KFP at {host.url} answers, version 2.17.0")
    assert {asked.path for asked in host.asked} == {NEW, OLD}


def test_a_host_without_its_older_api_is_well_and_of_unknown_version(host: Host) -> None:
    del host.pages[OLD]
    found = finding(host.url)
    assert found.finding.value == "pass"
    assert "version unknown" in found.reason


def test_a_host_for_many_users_needs_the_account_of_the_steps(host: Host) -> None:
    host.pages[NEW] = Told(body={"multi_user": True}, headers=JSON)
    assert "name the steps' account with --service-account" in finding(host.url).reason


def test_a_host_that_is_too_old_is_red(host: Host) -> None:
    host.pages[OLD] = Told(body={"tag_name": "1.8.22"}, headers=JSON)
    found = finding(host.url)
    assert found.finding.value == "fail"
    assert "is 1.8.22: the package needs 2.0 or newer; upgrade the backend" in found.reason


@pytest.mark.parametrize("status", [401, 403, 502])
def test_a_host_that_does_not_let_us_in_is_told_with_its_status(host: Host, status: int) -> None:
    host.pages[NEW] = Told(status, {"error": "as the test wants it"})
    found = finding(host.url)
    assert found.finding.value == "inconclusive"
    assert f"answers {status}" in found.reason


def test_what_is_no_kfp_and_what_is_nobody_could_not_be_asked(host: Host) -> None:
    host.pages[NEW] = Told(body="[]", headers=JSON)
    assert finding(host.url).finding.value == "inconclusive"
    host.close()
    found = finding(host.url)
    assert found.finding.value == "inconclusive"
    assert "cannot be reached" in found.reason
