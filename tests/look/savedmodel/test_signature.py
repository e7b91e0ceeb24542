import pytest

from tests.look.savedmodel.asked import ask, refuses
from tests.look.savedmodel.test_reader import saved
from tfcanary.core.domain import Finding
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import check
from tfcanary.tf.wire import messages


def default(message):
    return message.meta_graphs[0].signature_def["serving_default"]


def rename(message):
    message.meta_graphs[0].signature_def["other"].CopyFrom(default(message))
    del message.meta_graphs[0].signature_def["serving_default"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rename, ["no signature 'serving_default'", "the model has: 'other'"]),
        (lambda m: default(m).ClearField("outputs"), ["has no output"]),
        (
            lambda m: setattr(default(m).outputs["probabilities"], "name", "gone:0"),
            ["output 'probabilities'", "'gone:0'", "not in the graph"],
        ),
        (lambda m: setattr(default(m).inputs["image"], "name", "serving_default_image:x"), ["is no tensor"]),
        (lambda m: setattr(default(m).outputs["probabilities"], "name", "StatefulPartitionedCall:1"), ["has 1 outputs"]),
        (lambda m: setattr(default(m).inputs["image"], "dtype", messages.DataType.Value("DT_INT32")), ["declares int32", "is float32"]),
        (lambda m: default(m).inputs["image"].coo_sparse.SetInParent(), ["sparse"]),
    ],
)
def test_a_signature_that_cannot_be_asked_fails(copy, change, words):
    refuses(ask(saved(copy(), change), "signature"), *words)


def test_the_plan_names_the_signature(models):
    look = check(models / "good", ValidationPlan(signature="classify"), None)
    assert look.finding is Finding.FAIL


def test_a_fixed_batch_is_shown(copy):
    def fix(message):
        default(message).inputs["image"].tensor_shape.dim[0].size = 4

    evidence = ask(saved(copy(), fix), "signature")
    assert evidence.finding is Finding.WARN
    assert "exactly 4 rows" in evidence.reason


def test_a_hostile_name_is_harmless_in_the_sentence(copy):
    def rename(message):
        default(message).inputs["{{x}} $(rm)\n<b>" + "y" * 300].CopyFrom(default(message).inputs["image"])

    reason = ask(saved(copy(), rename), "signature").reason
    assert "{{" not in reason
    assert "$(" not in reason
    assert "\n" not in reason
    assert len(reason) < 500
