"""The doctor of a machine: what a plan needs beside it is looked at where the plan is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcanary import adapters
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.records import FileRecords
from tfcanary.core.domain import Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, MetricsPlan, NotifyPlan, Plan
from tfcanary.core.record import Record


def examine(folder: Path, plan: Plan | None = None, model: str = "") -> Look:
    return adapters.examine(f"local://{folder}/state", Requirements(plan, model))


def line(look: Look, check: str) -> tuple[str, str]:
    (found,) = [one for one in look.evidence if one.about == f"doctor/{check}"]
    return found.finding.value, found.reason


def test_without_a_plan_only_the_machine_is_looked_at_and_nothing_is_made(tmp_path: Path) -> None:
    found = examine(tmp_path)
    assert {one.about for one in found.evidence} >= {"doctor/envoy", "doctor/disk", "doctor/supervisor"}
    assert not any("bucket" in one.about for one in found.evidence)
    assert list(tmp_path.iterdir()) == []


def test_the_models_with_a_record_are_counted_in_a_sentence(tmp_path: Path) -> None:
    for number, sentence in ((1, "1 model has a record"), (2, "2 models have a record")):
        record = FileRecords(Folder(tmp_path / "state").records / f"m{number}.json")
        record.swap(Record(model=f"m{number}", writer="0"), 0)
        assert line(examine(tmp_path), "records") == ("pass", sentence)


def test_the_buckets_of_a_plan_are_tried_and_left_as_they_were(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    found = examine(tmp_path, Plan(bucket=BucketPlan(canary=str(models), stable=str(tmp_path / "none"))))
    assert line(found, "bucket/canary")[0] == "pass"
    assert line(found, "bucket/stable") == (
        "warn",
        f"{tmp_path}/none is not on this machine, so it was not tried: steps and servers must share this directory",
    )
    assert list(models.iterdir()) == []


def test_a_plan_that_this_machine_cannot_follow_is_red_and_its_buckets_are_not_asked(tmp_path: Path) -> None:
    found = examine(tmp_path, Plan(metrics=MetricsPlan(source="prometheus"), bucket=BucketPlan(canary=str(tmp_path))))
    finding, reason = line(found, "plan")
    assert (finding, found.finding) == ("fail", Finding.FAIL)
    assert "metrics.source 'prometheus'" in reason
    assert [(one.about, one.reason) for one in found.absent] == [("doctor/bucket/canary", "not asked: first mend plan")]


def test_a_receiver_whose_address_cannot_be_read_here_is_a_warning_that_names_its_file(tmp_path: Path) -> None:
    missing, there = tmp_path / "slack", tmp_path / "teams"
    there.write_text("https://example.com/canary\n")
    found = examine(
        tmp_path, Plan(notify=(NotifyPlan(url_file=str(missing)), NotifyPlan(url="https://example.com/"), NotifyPlan(url_file=str(there))))
    )
    assert line(found, "notify/0") == ("warn", f"url_file {missing}: cannot be read here (No such file or directory); nobody would be told")
    assert line(found, "notify/2") == ("pass", f"{there} holds an address")
    assert "doctor/notify/1" not in {one.about for one in found.evidence}


@pytest.mark.parametrize("uri", ["nowhere://x", "local://relative", "kube://UPPER", "kube://"])
def test_what_is_no_platform_is_refused(uri: str) -> None:
    with pytest.raises(Refused, match="is no platform"):
        adapters.examine(uri, Requirements())
