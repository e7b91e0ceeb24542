"""An example for large data: a loop counts the shards side by side, and one task adds their profiles up."""

from kfp import dsl

from components.profile_data.component import profile_data

SHARDS = [0, 1, 2, 3]
RUN = dsl.PIPELINE_JOB_ID_PLACEHOLDER


@dsl.pipeline(
    name="profile-over-shards",
    description="Counts the shards of a data set side by side and merges them into the profile that one pass would give.",
)
def over_shards(data: str):  # noqa: D103  the description says it
    with dsl.ParallelFor(SHARDS) as number:
        counted = profile_data(data=data, run_id=RUN, shard=number, shards=len(SHARDS))
    profile_data(data=data, run_id=RUN, merge=dsl.Collected(counted.outputs["profile"]))
