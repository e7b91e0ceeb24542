"""An example for large data: shards counted side by side, and one task that adds them up."""

from kfp import dsl

from components.profile_data.component import profile_data

SHARDS = [0, 1, 2, 3]


@dsl.pipeline(name="profile-over-shards", description="Count shards side by side, then merge: the same bits as one pass.")
def over_shards(data: str):  # noqa: D103  the description says it
    with dsl.ParallelFor(SHARDS) as number:
        counted = profile_data(data=data, shard=number, shards=len(SHARDS))
    profile_data(data=data, merge=dsl.Collected(counted.outputs["profile"]))
