"""What can be wrong with the graph: operations that reach outside, hidden calls, versions, signatures that promise too much."""

from tests.look.savedmodels.edits import edited, function, graph, node, runs_first, signature, starts, text
from tfcanary.tf.wire import messages

DENIED = {
    "ReadFile": "reads files",
    "WriteFile": "writes files",
    "MatchingFiles": "reads files",
    "WholeFileReaderV2": "reads files",
    "TFRecordDatasetV2": "reads files",
    "TextLineDataset": "reads files",
    "SqlDataset": "reads files",
    "LMDBReader": "reads files",
    "ImmutableConst": "reads files",
    "LoadDataset": "reads files",
    "SaveDatasetV2": "writes files",
    "SnapshotDatasetV2": "writes files",
    "CreateSummaryFileWriter": "writes files",
    "WriteRawProtoSummary": "writes files",
    "StatsAggregatorSetSummaryWriter": "writes files",
    "DumpTensor": "writes files",
    "DataServiceDatasetV4": "uses the network",
    "RpcCall": "uses the network",
    "RpcServer": "uses the network",
    "_Send": "uses the network",
    "CollectiveReduceV2": "uses the network",
    "NcclAllReduce": "uses the network",
    "RemoteCall": "uses the network",
    "PyFunc": "calls Python",
    "EagerPyFunc": "calls Python",
    "FileSystemSetConfiguration": "reaches outside",
    "WorkerHeartbeat": "reaches outside",
    "Abort": "reaches outside",
    "DatasetFromGraph": "hides a graph",
    "DeserializeIterator": "hides",
    "SimpleMLLoadModelFromPath": "reads files",
    "SaveV2": "checkpoints",
    "RestoreV2": "checkpoints",
    "MergeV2Checkpoints": "checkpoints",
}

for _kind, _does in DENIED.items():

    def _planted(message, kind=_kind):
        runs_first(message, kind)

    _planted.__name__ = f"request_runs_{_kind}"
    edited(_does)(_planted)


@edited("writes files for the start")
def start_writes_a_file(m):
    runs_first(m, "WriteFile", before=starts(m))


@edited("for the restoring")
def restoring_writes_a_file(m):
    runs_first(m, "WriteFile", before=node(m, m.meta_graphs[0].saver_def.restore_op_name))


@edited("another file")
def weights_from_elsewhere(m):
    restore = node(m, m.meta_graphs[0].saver_def.restore_op_name)
    restore.input[0] = text(m, "elsewhere", b"/models/other/variables")


@edited("'/etc/passwd'", base="vocabulary_file")
def table_from_elsewhere(m):
    where = text(m, "elsewhere", b"/etc/passwd")
    next(n for n in graph(m).node if n.op == "AssignVariableOp").input[1] = where


@edited("/etc/passwd", base="asset_that_is_read")
def asset_that_is_another_file_in_a_request(m):
    where = text(m, "elsewhere", b"/etc/passwd")
    runs_first(m, "ReadFile", where)
    m.meta_graphs[0].asset_file_def[0].tensor_info.name = "elsewhere:0"


@edited("file:///tmp/x")
def printing_into_a_file(m):
    runs_first(m, "PrintV2").attr["output_stream"].s = b"file:///tmp/x"


@edited("descriptors")
def decoding_with_descriptors_of_a_file(m):
    runs_first(m, "DecodeProtoV2").attr["descriptor_source"].s = b"/tmp/descriptors"


@edited("cache")
def caching_in_a_file(m):
    runs_first(m, "CacheDatasetV2", "variant", text(m, "cache", b"/tmp/cache"))


@edited("ReadFile")
def reading_in_a_branch(m):
    function(m, "hidden", "ReadFile")
    runs_first(m, "If").attr["else_branch"].func.name = "hidden"


@edited("ReadFile")
def reading_in_a_case(m):
    function(m, "hidden", "ReadFile")
    runs_first(m, "StatelessCase").attr["branches"].list.func.add(name="hidden")


@edited("ReadFile")
def reading_in_the_condition_of_a_loop(m):
    function(m, "hidden", "ReadFile")
    runs_first(m, "While").attr["cond"].func.name = "hidden"


@edited("ReadFile")
def reading_in_a_function_that_is_an_operation(m):
    function(m, "hidden", "ReadFile")
    runs_first(m, "hidden")


@edited("ReadFile")
def reading_in_an_argument_of_a_function(m):
    function(m, "hidden", "ReadFile")
    function(m, "outer", "NoOp")
    called = runs_first(m, "PartitionedCall").attr["f"].func
    called.name = "outer"
    called.attr["g"].func.name = "hidden"


@edited("ReadFile")
def reading_in_a_gradient(m):
    function(m, "hidden", "ReadFile")
    function(m, "outer", "NoOp")
    graph(m).library.gradient.add(function_name="outer", gradient_func="hidden")
    runs_first(m, "SymbolicGradient").attr["f"].func.name = "outer"


@edited("ReadFile")
def reading_behind_a_control_edge(m):
    graph(m).node.add(name="deep", op="ReadFile")
    runs_first(m, "NoOp", "^deep")


@edited("ReadFile")
def reading_in_another_implementation_of_a_function(m):
    one, other = function(m, "plain", "NoOp"), function(m, "hidden", "ReadFile")
    one.attr["api_implements"].s = other.attr["api_implements"].s = b"lstm"
    runs_first(m, "StatefulPartitionedCall").attr["f"].func.name = "plain"


@edited("ReadFile")
def reading_in_a_mapped_dataset(m):
    function(m, "hidden", "ReadFile")
    runs_first(m, "MapDataset").attr["f"].func.name = "hidden"


@edited("ReadFile", base="several_signatures")
def reading_in_another_signature(m):
    name = signature(m, "words").outputs["length"].name.split(":")[0]
    runs_first(m, "ReadFile", before=node(m, name))


@edited("ReadFile", base="table_of_tensorflow_1")
def reading_in_an_old_start(m):
    meta = m.meta_graphs[0]
    name = next(k for k in ("saved_model_main_op", "legacy_init_op") if k in meta.collection_def)
    runs_first(m, "ReadFile", before=node(m, meta.collection_def[name].node_list.value[0]))


def _reads(m, handle):
    """A request that reads the file that a variable names; the asset is assigned to it, too."""
    read = graph(m).node.add(name="named", op="ReadVariableOp", input=[handle])
    read.attr["dtype"].type = messages.DataType.Value("DT_STRING")
    runs_first(m, "ReadFile", "named")


def _asset_variable(m):
    """The handle of the variable that holds the asset's path, and what assigns it."""
    assign = next(n for n in graph(m).node if n.op == "AssignVariableOp")
    return node(m, assign.input[0]), assign


@edited("none that is an asset", base="asset_that_is_read")
def variable_of_a_path_that_has_two_handles(m):
    handle, assign = _asset_variable(m)
    twin = graph(m).node.add()
    twin.CopyFrom(handle)
    twin.name = "twin"
    twin.attr["shared_name"].s = handle.attr["shared_name"].s or handle.name.encode()
    other = graph(m).node.add()
    other.CopyFrom(assign)
    other.name = "other"
    other.input[:] = ["twin", text(m, "elsewhere", b"/etc/passwd")]
    _reads(m, handle.name)


@edited("none that is an asset", base="asset_that_is_read")
def variable_of_a_path_that_a_branch_changes(m):
    handle, assign = _asset_variable(m)
    made = function(m, "changes")
    made.signature.input_arg.add(name="h", type=20)
    made.signature.input_arg.add(name="v", type=7)
    inner = made.node_def.add()
    inner.CopyFrom(assign)
    inner.name = "assign"
    inner.input[:] = ["h", "v"]
    branch = graph(m).node.add(name="branch", op="If", input=["x", handle.name, text(m, "elsewhere", b"/etc/passwd")])
    branch.attr["then_branch"].func.name = "changes"
    _reads(m, handle.name)


@edited("ReadFile")
def reading_in_a_signature_that_looks_private(m):
    graph(m).node.add(name="hidden", op="ReadFile", input=[text(m, "elsewhere", b"/etc/passwd")])
    signature(m, "__saved_model_other").outputs["y"].name = "hidden:0"
