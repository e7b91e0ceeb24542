"""What names a platform on this machine, and which plans it cannot follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfcanary.adapters import open_platform
from tfcanary.core.errors import Refused
from tfcanary.core.plan import BucketPlan, JudgePlan, MetricsPlan, ObjectiveKind, ObjectivePlan, Plan, ScalingPlan


@pytest.mark.parametrize(
    ("uri", "model", "said"),
    [
        ("kube://Serving", "m", "use kube://<namespace>"),
        ("local://state", "m", "must be absolute; use local:///state"),
        ("local://./state", "m", "use local:///state"),
        ("local:///", "m", "absolute path below /"),
        ("local:///srv/../etc", "m", "without '..'"),
        ("http://host", "m", "local:///.* or kube://"),
        ("/srv/state", "m", "local:///.* or kube://"),
        ("local:///srv/state", "M", "model 'M'"),
        ("local:///srv/state", "../m", r"model '\.\./m'"),
        ("local:///srv/state", "", "model ''"),
    ],
)
def test_what_names_no_platform_is_refused_with_what_would(uri: str, model: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        open_platform(uri, model, Plan())


def test_a_plan_that_this_machine_cannot_follow_is_refused() -> None:
    with pytest.raises(Refused, match=r"metrics\.source 'prometheus'"):
        open_platform("local:///srv/state", "m", Plan(metrics=MetricsPlan(source="prometheus")))
    objectives = {"fallbacks": ObjectivePlan(ObjectiveKind.COUNTER, "my_fallbacks_total")}
    with pytest.raises(Refused, match=r"judge\.objectives, .*: metrics\.source `scrape`"):
        open_platform("local:///srv/state", "m", Plan(judge=JudgePlan(objectives=objectives)))


@pytest.mark.parametrize("bucket", ["gs://bucket/models", "models", "file://models"])
def test_a_bucket_that_no_server_here_can_read_is_refused(bucket: str) -> None:
    with pytest.raises(Refused, match=r"bucket\.canary .*: servers on this machine read directories only"):
        open_platform("local:///srv/state", "m", Plan(bucket=BucketPlan(canary=bucket)))


def test_versions_lie_in_the_state_folder_or_where_the_plan_says(tmp_path: Path) -> None:
    assert open_platform("local:///srv/state", "m", Plan()).bucket_uri == "/srv/state/models"
    elsewhere = Plan(bucket=BucketPlan(canary=f"file://{tmp_path}/a%20b/"))
    bound = open_platform("local:///srv/state", "m", elsewhere)
    bound.storage.write("m/1/x", b"content")
    assert bound.bucket_uri == f"{tmp_path}/a b"
    assert (tmp_path / "a b" / "m" / "1" / "x").read_bytes() == b"content"


def test_an_autoscaler_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="scaling: needs a cluster's autoscaler, and the embedded platform has none"):
        open_platform(f"local://{tmp_path}", "m", Plan(scaling=ScalingPlan(max=3)))
