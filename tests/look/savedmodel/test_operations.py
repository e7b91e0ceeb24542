import pytest

from tests.look.savedmodel.asked import ask, refuses
from tests.look.savedmodel.test_reader import saved
from tfcanary.core.domain import Finding
from tfcanary.look.savedmodel.denied_operations import danger
from tfcanary.tf.wire import messages


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
    refuses(ask(saved(copy(), lambda m: plant(m, op)), "operations"), op, "'evil'", "for a request")


def plant(message, op, before="StatefulPartitionedCall", *inputs):
    """Add an operation that runs before another one does."""
    graph = message.meta_graphs[0].graph_def
    graph.node.add(name="evil", op=op, input=inputs)
    if before:
        next(node for node in graph.node if node.name == before).input.append("^evil")
    return graph


@pytest.mark.parametrize("before", [None, "StatefulPartitionedCall_1"], ids=["nothing", "saving"])
def test_a_dangerous_operation_that_no_server_reaches_is_shown(copy, before):
    evidence = ask(saved(copy(), lambda m: plant(m, "ReadFile", before)), "operations")
    assert evidence.finding is Finding.WARN
    assert "nothing that a server runs reaches it" in evidence.reason


@pytest.mark.parametrize(
    ("before", "root"),
    [("StatefulPartitionedCall", "a request"), ("StatefulPartitionedCall_2", "the restoring"), ("NoOp", "the start")],
)
def test_whoever_runs_it_is_named(copy, before, root):
    refuses(ask(saved(copy(), lambda m: plant(m, "WriteFile", before)), "operations"), f"writes files for {root}")


def function(message, name):
    return next(one for one in message.meta_graphs[0].graph_def.library.function if name in one.signature.name)


def test_a_dangerous_operation_is_found_in_the_function_of_a_function(copy):
    def hide(message):
        library = message.meta_graphs[0].graph_def.library
        library.function.add().signature.name = "deep"
        library.function[-1].node_def.add(name="evil", op="ReadFile")
        library.function.add().signature.name = "shallow"
        library.function[-1].node_def.add(name="branch", op="If").attr["then_branch"].func.name = "deep"
        function(message, "signature_wrapper").node_def.add(name="call", op="shallow")

    refuses(ask(saved(copy(), hide), "operations"), "ReadFile", "in function 'deep'", "for a request")


def constant(graph, name, text):
    node = graph.node.add(name=name, op="Const")
    node.attr["value"].tensor.dtype = messages.DataType.Value("DT_STRING")
    node.attr["value"].tensor.string_val.append(text)


def test_weights_that_come_from_another_file_fail(copy):
    def elsewhere(message):
        graph = message.meta_graphs[0].graph_def
        constant(graph, "elsewhere", b"/models/other/variables")
        restore = next(node for node in graph.node if node.name == "StatefulPartitionedCall_2")
        restore.input[0] = "elsewhere"

    refuses(ask(saved(copy(), elsewhere), "operations"), "RestoreV2 restores from another file")


def test_a_checkpoint_that_a_request_reads_fails(copy):
    refuses(ask(saved(copy(), lambda m: plant(m, "RestoreV2")), "operations"), "RestoreV2 reads or writes checkpoints for a request")


def test_a_table_that_is_filled_from_another_file_than_an_asset_fails(copy):
    def elsewhere(message):
        graph = message.meta_graphs[0].graph_def
        constant(graph, "elsewhere", b"/etc/passwd")
        next(node for node in graph.node if node.op == "AssignVariableOp").input[1] = "elsewhere"

    refuses(ask(saved(copy("words"), elsewhere), "operations"), "InitializeTableFromTextFileV2", "none that is an asset of the model")


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
