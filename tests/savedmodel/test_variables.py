from tests.savedmodel.asked import ask, refuses
from tfcanary.domain import Finding

SHARD = "variables/variables.data-00000-of-00001"


def test_a_missing_index_fails_because_a_server_would_load_it_and_then_fail_every_request(copy):
    model = copy()
    (model / "variables/variables.index").unlink()
    refuses(ask(model, "variables"), "variables.index is missing although the graph has 2 variables")


def test_a_missing_shard_fails(copy):
    model = copy()
    (model / SHARD).rename(model / "variables/variables.data-00000-of-00002")
    refuses(ask(model, "variables"), "not complete")
    (model / "variables/variables.data-00000-of-00002").unlink()
    refuses(ask(model, "variables"), "no shard")


def test_a_model_of_constants_needs_no_weights(models):
    assert ask(models / "frozen", "variables").finding is Finding.PASS
