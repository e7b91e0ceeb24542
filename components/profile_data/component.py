"""Data counted into a profile: the reference of later comparisons; beside the graph, for training pipelines."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def profile_data(
    data: str,
    profile: dsl.Output[dsl.Artifact],
    entity: str = "",
    columns: list = [],  # noqa: B006
    shard: int = 0,
    shards: int = 1,
    merge: dsl.Input[list[dsl.Artifact]] = None,
) -> str:
    """Count a data set exactly, or one shard of it; or merge shards that were counted apart, to the same bits as one pass.

    Args:
        data: A file, folder or gs:// prefix of Parquet, Arrow, CSV, JSON lines, TFRecord, KServe logger records or Envoy taps.
        profile: The profile, to be carried in the model's assets.extra or kept beside it.
        entity: The column whose rows belong together, for example a user.
        columns: Only these columns; empty: all.
        shard: Which shard this is, from 0.
        shards: How many shards there are: all of them choose the same layout.
        merge: The profiles of all shards; then nothing is counted, and `data` is not read.

    Returns:
        The uri of the profile.
    """
    from tfcanary.run import steps

    if merge:
        return steps.merged(merge, profile)
    return steps.profiled(data, profile, entity, tuple(columns), shard, shards)
