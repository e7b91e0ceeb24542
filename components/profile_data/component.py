"""The component that counts data into a profile, the reference of later comparisons; for training pipelines."""

from kfp import dsl

from components._image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def profile_data(
    data: str,
    run_id: str,
    profile: dsl.Output[dsl.Artifact],
    entity: str = "",
    columns: list = [],  # noqa: B006
    shard: int = 0,
    shards: int = 1,
    merge: dsl.Input[list[dsl.Artifact]] = None,
) -> str:
    """Count a data set or one shard of it exactly, or merge the profiles of all shards into the profile that one pass would give.

    Args:
        data: The data set: a file, a folder or a gs:// prefix of Parquet, Arrow, CSV, JSON lines, TFRecord, KServe logger records or Envoy taps.
        run_id: The id of the run that asks, dsl.PIPELINE_JOB_ID_PLACEHOLDER; it keeps the step out of Kubeflow's cache.
        profile: The profile; put it into the model's folder assets.extra, or keep it beside the model.
        entity: The column whose rows belong together, for example a user.
        columns: The names of the columns to count; empty means all.
        shard: The number of this shard, from 0.
        shards: The number of shards; all of them count with one layout.
        merge: The profiles of all shards; with them nothing is counted, and `data` is not read.

    Returns:
        The uri of the profile.
    """
    from tfcanary.run import steps

    steps.check_run_id(run_id)
    if merge:
        return steps.merge_profiles(merge, profile)
    return steps.profile_data(data, profile, entity, tuple(columns), shard, shards)
