"""What can be wrong with a graph that only computes: what is not there, circles, devices, versions, signatures that promise too much."""

from tests.look.savedmodels.edits import broken, edited, function, graph, op, runs_first, served, signature, starts
from tfcanary.tf.wire import messages


@edited("MyCustomOp")
def unknown_operation(m):
    runs_first(m, "MyCustomOp")


@edited("MyCustomOp")
def unknown_operation_in_a_function(m):
    function(m, "hidden", "MyCustomOp")
    runs_first(m, "PartitionedCall").attr["f"].func.name = "hidden"


@edited("invented")
def unknown_attribute(m):
    op(m, "MatMul").attr["invented"].i = 3


@edited("'T'")
def missing_attribute(m):
    del op(m, "MatMul").attr["T"]


@edited("gone")
def function_that_is_not_there(m):
    served(m).attr["f"].func.name = "gone"


@edited("'gone'")
def input_that_is_not_there(m):
    served(m).input[0] = "gone"


@edited("gone:output:0")
def input_of_a_function_that_is_not_there(m):
    op(m, "MatMul").input[0] = "gone:output:0"


@edited("cycle")
def nodes_in_a_circle(m):
    graph(m).node.add(name="a", op="Identity", input=["b"]).attr["T"].type = 1
    graph(m).node.add(name="b", op="Identity", input=["a"]).attr["T"].type = 1
    served(m).input.append("^b")


@edited("cycle")
def function_that_calls_itself(m):
    made = function(m, "again")
    made.node_def.add(name="n", op="again")
    runs_first(m, "again")


@edited("two nodes")
def two_nodes_of_one_name(m):
    graph(m).node.append(graph(m).node[0])


@edited("two functions")
def two_functions_of_one_name(m):
    graph(m).library.function.append(graph(m).library.function[0])


@edited("name")
def node_without_a_name(m):
    graph(m).node.add(op="NoOp")


@edited("GPU")
def pinned_to_a_graphics_card(m):
    served(m).device = "/device:GPU:0"


@edited("another_machine")
def pinned_to_another_machine(m):
    served(m).device = "/job:another_machine/task:0"


@edited("99999")
def graph_for_a_later_tensorflow(m):
    graph(m).versions.min_consumer = 99999


@edited("bad_consumers")
def graph_that_refuses_this_tensorflow(m):
    graph(m).versions.bad_consumers.extend(range(2000, 2600))


@edited("schema version")
def schema_of_another_kind(m):
    m.saved_model_schema_version = 9


@edited("tagged")
def graph_for_training_only(m):
    m.meta_graphs[0].meta_info_def.tags[:] = ["train"]


@edited("tagged")
def graph_for_graphics_cards_only(m):
    m.meta_graphs[0].meta_info_def.tags.append("gpu")


@edited("tagged")
def two_graphs_to_serve(m):
    m.meta_graphs.append(m.meta_graphs[0])


@edited("tagged")
def no_graph_at_all(m):
    m.ClearField("meta_graphs")


@edited("no signature")
def no_signature(m):
    m.meta_graphs[0].ClearField("signature_def")


@edited("no signature")
def signature_of_another_name(m):
    signature(m, "predict").CopyFrom(signature(m))
    del m.meta_graphs[0].signature_def["serving_default"]


@edited("no output")
def signature_without_outputs(m):
    signature(m).ClearField("outputs")


@edited("not in the graph")
def output_that_is_not_there(m):
    next(iter(signature(m).outputs.values())).name = "gone:0"


@edited("not in the graph")
def input_of_a_signature_that_is_not_there(m):
    signature(m).inputs["x"].name = "gone:0"


@edited("outputs")
def output_of_a_number_that_is_not_there(m):
    next(iter(signature(m).outputs.values())).name = f"{served(m).name}:7"


@edited("no tensor")
def output_that_is_no_number(m):
    next(iter(signature(m).outputs.values())).name = f"{served(m).name}:x"


@edited("no tensor")
def output_that_is_a_control_edge(m):
    next(iter(signature(m).outputs.values())).name = f"^{served(m).name}"


@edited("nothing", runs=True)
def output_of_an_operation_without_outputs(m):
    graph(m).node.add(name="nothing", op="NoOp")
    next(iter(signature(m).outputs.values())).name = "nothing:0"


@edited("is float32")
def input_of_another_type_than_its_tensor(m):
    signature(m).inputs["x"].dtype = messages.DataType.Value("DT_INT64")


@edited("is float32")
def output_of_another_type_than_its_tensor(m):
    next(iter(signature(m).outputs.values())).dtype = messages.DataType.Value("DT_STRING")


@edited("shape")
def input_of_another_shape_than_its_tensor(m):
    signature(m).inputs["x"].tensor_shape.dim[1].size = 7


@edited("invalid")
def input_of_no_type(m):
    signature(m).inputs["x"].dtype = 0


@edited("sparse or composite")
def sparse_input(m):
    info = signature(m).inputs["x"]
    info.coo_sparse.values_tensor_name = "x:0"


@edited("two inputs")
def two_inputs_of_one_tensor(m):
    signature(m).inputs["again"].CopyFrom(signature(m).inputs["x"])


@edited("method")
def classification_without_scores(m):
    signature(m).method_name = "tensorflow/serving/classify"


@edited("outside the model's assets", base="vocabulary_file")
def asset_outside(m):
    m.meta_graphs[0].asset_file_def[0].filename = "../../../../etc/passwd"


@edited("outside the model's assets", base="vocabulary_file")
def asset_with_an_absolute_name(m):
    m.meta_graphs[0].asset_file_def[0].filename = "/etc/passwd"


@edited("not in the graph", base="vocabulary_file")
def asset_for_nothing(m):
    m.meta_graphs[0].asset_file_def[0].tensor_info.name = "gone:0"


@edited("asset", base="vocabulary_file")
def asset_fed_into_another_tensor(m):
    m.meta_graphs[0].asset_file_def[0].tensor_info.name = f"{served(m).name}:0"


def _splat(m, *sizes):
    made = runs_first(m, "Const")
    tensor = made.attr["value"].tensor
    made.attr["dtype"].type = tensor.dtype = 1
    tensor.tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in sizes)
    tensor.float_val.append(1.0)


@edited("in memory")
def constant_that_unfolds(m):
    _splat(m, 2**20, 2**20)


@edited("in memory")
def constant_that_overflows(m):
    _splat(m, *[2**31 - 1] * 6)


@edited("shape")
def constant_of_negative_size(m):
    _splat(m, -5, 4)


@edited("stored")
def constant_with_too_many_bytes(m):
    made = runs_first(m, "Const")
    tensor = made.attr["value"].tensor
    made.attr["dtype"].type = tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2)
    tensor.tensor_content = bytes(4000)


@edited("restore")
def nothing_that_restores(m):
    m.meta_graphs[0].saver_def.restore_op_name = "gone"


@edited("start")
def start_that_is_not_there(m):
    starts(m)
    m.meta_graphs[0].signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "gone"


@edited("no variable")
def variable_that_the_checkpoint_lacks(m):
    names = next(n for f in graph(m).library.function for n in f.node_def if n.name == "RestoreV2/tensor_names")
    names.attr["value"].tensor.string_val[0] = b"another/.ATTRIBUTES/VARIABLE_VALUE"


@broken("damaged")
def node_that_is_no_text(m):
    from tests.look.savedmodels.edits import PB

    content = (m / PB).read_bytes()
    (m / PB).write_bytes(content.replace(b"MatMul", b"Mat\xff\xfel"))
