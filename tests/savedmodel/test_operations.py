import pytest

from tests.savedmodel.asked import ask, refuses
from tests.savedmodel.test_reader import saved
from tfcanary.domain import Finding
from tfcanary.savedmodel.policy import danger


def test_a_model_that_reads_a_file_fails_and_the_file_is_named(models):
    refuses(ask(models / "reading", "operations"), "ReadFile", "reads files", "'/etc/hostname'", "in function")


@pytest.mark.parametrize("name", ["good", "words", "raising", "endless", "jpeg", "embedding", "frozen"])
def test_a_model_that_computes_passes(models, name):
    assert ask(models / name, "operations").finding is Finding.PASS


@pytest.mark.parametrize(
    "op",
    [
        "WriteFile",
        "MatchingFiles",
        "EagerPyFunc",
        "TFRecordDatasetV2",
        "_Send",
        "CollectiveReduceV2",
        "SnapshotDatasetV2",
        "RpcCall",
        "Abort",
        "ImmutableConst",
    ],
)
def test_each_kind_of_reaching_out_is_denied(copy, op):
    def plant(message):
        message.meta_graphs[0].graph_def.node.add(name="evil", op=op)

    refuses(ask(saved(copy(), plant), "operations"), op, "'evil'")


@pytest.mark.parametrize(
    ("op", "texts", "dangerous"),
    [
        ("PrintV2", {"output_stream": "stderr"}, False),
        ("PrintV2", {"output_stream": "file:///tmp/x"}, True),
        ("DecodeProtoV2", {"descriptor_source": "local://"}, False),
        ("DecodeProtoV2", {"descriptor_source": "/tmp/descriptors"}, True),
        ("DebugIdentityV2", {}, False),
        ("DebugIdentityV2", {"debug_urls": "file:///tmp"}, True),
        ("MatMul", {}, False),
        ("Assert", {}, False),
    ],
)
def test_some_operations_are_dangerous_by_their_attributes_alone(op, texts, dangerous):
    assert (danger(op, texts) is not None) is dangerous
