"""Sound models that compute: low precision, branches, loops, gradients, odd shapes."""

import tensorflow as tf

from tests.look.savedmodels.exporting import RANDOM, model, one, parts, save, spec, weights


@model
def dense(target):
    m = parts(w=weights(4, 3), b=weights(3))
    one(target, lambda x: {"y": tf.nn.softmax(x @ m.w + m.b)}, module=m)


@model
def dense_successor(target):
    m = parts(w=weights(4, 3), b=weights(3))
    one(target, lambda x: {"y": tf.nn.softmax(x @ m.w + m.b)}, module=m)


@model
def ragged_inside(target):
    m = parts(w=weights(10, 4))

    def serve(ids):
        ragged = tf.RaggedTensor.from_tensor(ids % 10, padding=0)
        return {"sum": tf.reduce_sum(tf.nn.embedding_lookup(m.w, ragged), axis=1)}

    one(target, serve, spec(None, None, dtype=tf.int64, name="ids"), module=m)


@model
def branches(target):
    m = parts(w=weights(4, 4))
    one(target, lambda x: {"y": tf.cond(tf.reduce_sum(tf.abs(x)) >= 0.0, lambda: x @ m.w, lambda: x)}, module=m)


@model
def branch_for_the_whole_batch(target):
    one(target, lambda x: {"y": tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: x * 3.0)})


@model
def logarithms(target):
    one(target, lambda x: {"y": tf.math.log(x)})


@model
def cases(target):
    one(target, lambda x: {"y": tf.switch_case(tf.constant(1) * tf.shape(x)[1] % 3, [lambda: x, lambda: x * 2, lambda: -x])})


@model
def loops(target):
    m = parts(w=weights(4, 4))
    one(target, lambda x: {"y": tf.while_loop(lambda i, _: i < 5, lambda i, y: (i + 1, tf.tanh(y @ m.w)), (0, x))[1]}, module=m)


@model
def mapped(target):
    one(target, lambda x: {"y": tf.map_fn(lambda row: tf.sort(row) * 2.0, x)})


@model
def array_of_tensors(target):
    def serve(x):
        steps = tf.TensorArray(tf.float32, size=3)
        for i in tf.range(3):
            steps = steps.write(i, x * tf.cast(i, tf.float32))
        return {"y": tf.transpose(steps.stack(), [1, 0, 2])}

    one(target, serve)


@model
def functions_of_functions(target):
    inner = tf.function(lambda x: tf.nn.relu(x) + 1.0)
    outer = tf.function(lambda x: inner(inner(x)) * 2.0)
    one(target, lambda x: {"y": outer(x)})


@model
def own_gradient(target):
    @tf.custom_gradient
    def clipped(x):
        return tf.clip_by_value(x, -1.0, 1.0), lambda dy: dy

    one(target, lambda x: {"y": clipped(x)})


@model
def gradient_inside(target):
    m = parts(w=weights(4, 1))

    def serve(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.sigmoid(x @ m.w))
        return {"saliency": tape.gradient(y, x)}

    one(target, serve, module=m)


@model
def half_precision(target):
    m = parts(w=weights(4, 3, dtype="float16"))
    one(target, lambda x: {"y": tf.cast(tf.cast(x, tf.float16) @ m.w, tf.float32)}, module=m)


@model
def brain_floats(target):
    m = parts(w=tf.Variable(tf.cast(RANDOM.normal(size=(4, 3)), tf.bfloat16)))
    one(target, lambda x: {"y": tf.cast(tf.cast(x, tf.bfloat16) @ m.w, tf.float32)}, module=m)


@model
def half_precision_outside(target):
    one(target, lambda x: {"y": x * 2}, spec(None, 4, dtype=tf.float16))


@model
def quantized(target):
    m = parts(w=tf.Variable(RANDOM.integers(-120, 120, (4, 3)).astype("int8")))
    one(target, lambda x: {"y": tf.quantization.fake_quant_with_min_max_args(x, -1, 1) @ (tf.cast(m.w, tf.float32) / 120)}, module=m)


@model
def without_a_batch(target):
    one(target, lambda x: {"y": x * 2.0}, spec(name="x"))


@model
def fixed_batch(target):
    one(target, lambda x: {"y": tf.reduce_sum(x, 1)}, spec(2, 4))


@model
def any_rank(target):
    one(target, lambda x: {"y": x + 1.0}, tf.TensorSpec(None, tf.float32, name="x"))


@model
def without_variables(target):
    one(target, lambda x: {"y": tf.linalg.normalize(x + 2.0, axis=1)[0]})


@model
def without_inputs(target):
    save(target, tf.Module(), serving_default=((), lambda: {"version": tf.constant([3])}))


@model
def spectrum(target):
    one(target, lambda x: {"y": tf.abs(tf.signal.rfft(x))}, spec(None, 16))


@model
def sparse_inside(target):
    one(target, lambda x: {"y": tf.sparse.sparse_dense_matmul(tf.sparse.from_dense(x), tf.ones([4, 2]))})
