"""Models are loaded, run and refused as TF Serving's loader does it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tf.modelserver.served import ENVIRONMENT, ROOT
from tfcanary.core.errors import Refused
from tfcanary.tf.runtime import DEFAULT, Servable, Signature, TensorFlowError, TensorSpec, load, signature_from
from tfcanary.tf.wire import messages

Loaded = Callable[[str], Servable]


@pytest.fixture
def copy(models: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a model that a test may spoil."""

    def copy(path: str) -> Path:
        return Path(shutil.copytree(models / path, tmp_path / "copy"))

    return copy


def saved_model(path: Path, change: Callable[[messages.SavedModel], object]) -> None:
    """Rewrite the graph of a copy."""
    model = messages.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    change(model)
    (path / "saved_model.pb").write_bytes(model.SerializeToString())


def failure(load_or_run: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(TensorFlowError) as caught:
        load_or_run()
    return caught.value.code, str(caught.value)


def test_importing_the_package_does_not_import_tensorflow() -> None:
    code = "import sys, tfcanary.tf.runtime; print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "False False\n"


def test_signatures_tell_names_types_and_shapes(loaded: Loaded) -> None:
    assert loaded("pair/1").signatures == {
        DEFAULT: Signature(
            inputs={"a": TensorSpec("serving_default_a:0", "float32", (None, 2)), "b": TensorSpec("serving_default_b:0", "int64", (None,))},
            outputs={
                "sum": TensorSpec("PartitionedCall:0", "float32", (None,)),
                "twice": TensorSpec("PartitionedCall:1", "int64", (None,)),
            },
        )
    }
    assert sorted(loaded("strict/1").signatures) == ["serving_default", "total"]


def test_a_shape_of_unknown_rank_is_none() -> None:
    definition = messages.SignatureDef()
    definition.inputs["x"].CopyFrom(messages.TensorInfo(name="x:0", dtype=7, tensor_shape={"unknown_rank": True}))
    definition.inputs["y"].CopyFrom(messages.TensorInfo(name="y:0", dtype=14, tensor_shape={}))
    assert signature_from(definition).inputs == {"x": TensorSpec("x:0", "string", None), "y": TensorSpec("y:0", "bfloat16", ())}


def test_two_versions_give_two_answers(loaded: Loaded) -> None:
    feeds = {"x": np.float32([2, 4])}
    assert loaded("half/1").run(DEFAULT, feeds)["y"].tolist() == [3, 4]
    assert loaded("half/2").run(DEFAULT, feeds)["y"].tolist() == [4, 5]


def test_outputs_come_by_name_and_only_those_that_are_wanted(loaded: Loaded) -> None:
    feeds = {"b": np.int64([3]), "a": np.float32([[1, 2]])}
    both = loaded("pair/1").run(DEFAULT, feeds)
    assert {name: array.tolist() for name, array in both.items()} == {"sum": [6.0], "twice": [6]}
    assert list(loaded("pair/1").run(DEFAULT, feeds, ("twice",))) == ["twice"]


def test_text_comes_and_goes_as_bytes(loaded: Loaded) -> None:
    found = loaded("words/1").run(DEFAULT, {"word": np.array([b"a\xff", b""], object)})
    assert (found["upper"].dtype, found["upper"].tolist()) == (np.dtype(object), [b"A\xff", b""])


def test_a_number_alone_is_an_array_too(loaded: Loaded) -> None:
    found = loaded("strict/1").run("total", {"x": np.float32([1, 2])})["total"]
    assert (found.shape, found.dtype, float(found)) == ((), np.float32, 3.0)


def test_tables_are_filled_from_assets(loaded: Loaded) -> None:
    assert loaded("table/1").run(DEFAULT, {"word": np.array([b"zero", b"two", b"x"], object)})["number"].tolist() == [0, 2, -1]


def test_an_input_that_is_left_out_takes_the_models_own_value(loaded: Loaded) -> None:
    optional = loaded("optional/1")
    assert optional.run(DEFAULT, {"x": np.float32([2])})["y"].tolist() == [20]
    assert optional.run(DEFAULT, {"x": np.float32([2]), "times": np.float32(3)})["y"].tolist() == [6]


@pytest.mark.parametrize(
    ("signature", "feeds", "outputs", "code", "message"),
    [
        ("nix", {}, None, "FAILED_PRECONDITION", 'Serving signature key "nix" not found.'),
        (
            DEFAULT,
            {"a": np.float32([[1, 2]]), "c": 1},
            None,
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=2 len({a,c}) != len({a,b}). Sent extra: {c}. Missing but required: {b}.",
        ),
        (
            DEFAULT,
            {"a": np.float64([[1, 2]]), "b": np.int64([3])},
            None,
            "INVALID_ARGUMENT",
            "Type mismatch: actual double vs. expect float",
        ),
        (DEFAULT, {"a": np.array([[object()]], object), "b": np.int64([3])}, None, "INTERNAL", "Unsupported object type object"),
        (
            DEFAULT,
            {"a": np.float32([[1, 2]]), "b": np.int64([3])},
            ("sum", "nix"),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: nix Outputs expected to be in the set {sum,twice}.",
        ),
        (
            DEFAULT,
            {"a": np.float32([[1, 2]]), "b": np.int64([3])},
            ("sum", "sum"),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: sum",
        ),
    ],
)
def test_what_does_not_fit_is_refused(loaded: Loaded, signature, feeds, outputs, code: str, message: str) -> None:
    found = failure(lambda: loaded("pair/1").run(signature, feeds, outputs))
    assert found[0] == code
    assert found[1].startswith(message)


def test_a_shape_is_the_graphs_business(loaded: Loaded) -> None:
    assert loaded("half/1").run(DEFAULT, {"x": np.float32([[2, 4]])})["y"].tolist() == [[3, 4]]
    code, message = failure(lambda: loaded("layers/1").run(DEFAULT, {"x": np.float32([[1, 2]])}))
    assert (code, message.splitlines()[0]) == ("INVALID_ARGUMENT", "Matrix size-incompatible: In[0]: [1,2], In[1]: [64,64]")


def test_a_failing_graph_says_why(loaded: Loaded) -> None:
    code, message = failure(lambda: loaded("strict/1").run(DEFAULT, {"x": np.float32([1, -1])}))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("assertion failed: [negative.")


def test_a_run_ends_after_its_time(models: Path) -> None:
    servable = load(models / "slow/1", seconds=0.2)
    assert failure(lambda: servable.run(DEFAULT, {"milliseconds": np.int32([60_000])})) == (
        "DEADLINE_EXCEEDED",
        "Timed out waiting for notification",
    )
    assert servable.run(DEFAULT, {"milliseconds": np.int32([0])})["y"].shape == (1,)
    servable.close()


def test_a_closed_model_answers_no_more(models: Path) -> None:
    servable = load(models / "half/1")
    servable.close()
    servable.close()
    with pytest.raises((TensorFlowError, RuntimeError)):
        servable.run(DEFAULT, {"x": np.float32([1])})


def test_a_missing_index_means_no_variables(copy) -> None:
    path = copy("half/1")
    (path / "variables/variables.index").unlink()
    servable = load(path)
    assert failure(lambda: servable.run(DEFAULT, {"x": np.float32([1])}))[0] == "FAILED_PRECONDITION"
    servable.close()


def test_missing_and_damaged_variables_fail_the_load(copy) -> None:
    path = copy("layers/1")
    data = path / "variables/variables.data-00000-of-00001"
    whole = data.read_bytes()
    data.unlink()
    assert failure(lambda: load(path))[0] == "NOT_FOUND"
    data.write_bytes(whole[:-8])
    assert failure(lambda: load(path))[0] == "OUT_OF_RANGE"
    data.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert failure(lambda: load(path))[0] == "DATA_LOSS"


def test_a_missing_asset_fails_the_load(copy) -> None:
    path = copy("table/1")
    (path / "assets/vocabulary.txt").unlink()
    code, message = failure(lambda: load(path))
    assert code == "NOT_FOUND"
    assert f"{path}/assets/vocabulary.txt" in message


def test_no_model_at_all_is_not_found(tmp_path) -> None:
    code, message = failure(lambda: load(tmp_path / "nix"))
    assert code == "NOT_FOUND"
    assert message.startswith(f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}/nix. ")


def test_a_graph_without_the_tag_is_not_found(copy) -> None:
    path = copy("half/1")
    saved_model(path, lambda model: model.meta_graphs[0].meta_info_def.tags.append("gpu"))
    code, message = failure(lambda: load(path))
    assert code == "NOT_FOUND"
    assert message.startswith("Could not find meta graph def matching supplied tags: { serve }. ")
    (path / "saved_model.pb").write_bytes(b"")
    assert failure(lambda: load(path))[0] == "NOT_FOUND"


def test_a_cut_off_graph_is_lost(copy) -> None:
    path = copy("half/1")
    (path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:-100])
    assert failure(lambda: load(path)) == ("DATA_LOSS", f"Can't parse {path}/saved_model.pb as binary proto")


def test_a_graph_in_text_is_read_where_there_is_no_other(copy) -> None:
    path = copy("half/1")
    model = messages.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (path / "saved_model.pb").unlink()
    (path / "saved_model.pbtxt").write_text(str(model))
    servable = load(path)
    assert servable.run(DEFAULT, {"x": np.float32([2])})["y"].tolist() == [3]
    servable.close()
    (path / "saved_model.pbtxt").write_text("nix {")
    assert failure(lambda: load(path))[0] == "DATA_LOSS"


def test_an_unknown_operation_is_named(copy) -> None:
    path = copy("half/1")

    def rename(model: messages.SavedModel) -> None:
        model.meta_graphs[0].graph_def.node.add(name="mine", op="MyCustomOp")

    saved_model(path, rename)
    assert "Op type not registered 'MyCustomOp'" in failure(lambda: load(path))[1]


def test_a_model_of_a_future_tensorflow_is_refused(copy) -> None:
    path = copy("half/1")
    saved_model(path, lambda model: setattr(model.meta_graphs[0].graph_def.versions, "min_consumer", 99_999))
    assert "GraphDef min consumer version 99999 above current version" in failure(lambda: load(path))[1]


def test_two_initializations_are_one_too_many(copy) -> None:
    path = copy("layers/1")

    def double(model: messages.SavedModel) -> None:
        del model.meta_graphs[0].signature_def["__saved_model_init_op"]
        model.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value[:] = ["NoOp", "NoOp"]

    saved_model(path, double)
    assert failure(lambda: load(path))[0] == "FAILED_PRECONDITION"


def test_assets_of_tensorflow_1_lie_in_a_collection(copy) -> None:
    path = copy("table/1")

    def move(model: messages.SavedModel) -> None:
        graph = model.meta_graphs[0]
        graph.collection_def["saved_model_assets"].any_list.value.add().Pack(graph.asset_file_def[0])
        del graph.asset_file_def[:]

    saved_model(path, move)
    servable = load(path)
    assert servable.run(DEFAULT, {"word": np.array([b"one"], object)})["number"].tolist() == [1]
    servable.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_model_that_may_not_be_read_is_refused(copy) -> None:
    path = copy("half/1")
    (path / "saved_model.pb").chmod(0)
    assert failure(lambda: load(path))[0] == "UNKNOWN"


def test_a_long_sentence_is_cut_and_a_failure_is_a_refusal() -> None:
    assert len(str(TensorFlowError("UNKNOWN", "x" * 100_000))) == 4097
    assert isinstance(TensorFlowError("UNKNOWN", "x"), Refused)
