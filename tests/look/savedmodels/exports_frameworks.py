"""Sound models as other tools and older versions export them, and with state, data pipelines and several shards."""

import sys

import tensorflow as tf

from tests.look.savedmodels.exporting import RANDOM, model, one, parts, spec, weights


@model
def odd_variables(target):
    m = parts(
        empty=tf.Variable(tf.zeros([0, 4])),
        word=tf.Variable(["one", "two"]),
        n=tf.Variable(3),
        f=tf.Variable(True),
        d=weights(4, 4, dtype="float64"),
    )
    one(target, lambda x: {"y": tf.cast(tf.cast(x, tf.float64) @ m.d, tf.float32) + tf.cast(m.n, tf.float32), "w": m.word}, module=m)


@model
def counting(target):
    m = parts(n=tf.Variable(0, dtype=tf.int64))
    one(target, lambda x: {"y": x, "n": m.n.assign_add(1)}, module=m)


@model
def sampling(target):
    one(target, lambda x: {"y": x + tf.random.normal(tf.shape(x))})


@model
def several_shards(target):
    from tensorflow.python.checkpoint.sharding import sharding_policies

    m = parts(**{f"w{i}": weights(64, 64) for i in range(4)})
    policy = sharding_policies.MaxShardSizePolicy(max_shard_size=20_000)
    one(target, lambda x: {"y": x @ m.w0[:4]}, module=m, options=tf.saved_model.SaveOptions(experimental_sharding_callback=policy))


@model
def printing(target):
    def serve(x):
        tf.print("seen", tf.shape(x), output_stream=sys.stderr)
        return {"y": x}

    one(target, serve)


@model
def data_inside(target):
    def serve(x):
        return {"y": tf.data.Dataset.from_tensor_slices(x).map(lambda row: row * 2).reduce(tf.zeros([4]), lambda a, b: a + b)[tf.newaxis]}

    one(target, serve)


@model
def recurrent(target):
    cell = parts(w=weights(4, 4), u=weights(4, 4))

    def serve(x):
        steps = tf.scan(lambda h, now: tf.tanh(now @ cell.w + h @ cell.u), tf.transpose(x, [1, 0, 2]), tf.zeros([tf.shape(x)[0], 4]))
        return {"y": steps[-1]}

    one(target, serve, spec(None, 3, 4), module=cell)


@model
def compiled(target):
    inner = tf.function(lambda x: tf.nn.softmax(x * 3.0), jit_compile=False)
    one(target, lambda x: {"y": inner(x)})


@model
def keras_layers(target):
    import keras

    layers = [keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    net = keras.Sequential([keras.Input((4,)), *layers])
    net.export(str(target), verbose=False)


@model
def keras_images(target):
    import keras

    layers = [keras.layers.Conv2D(4, 3), keras.layers.MaxPooling2D(), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    keras.Sequential([keras.Input((8, 8, 3)), *layers]).export(str(target), verbose=False)


@model
def keras_words(target):
    import keras

    words = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    words.adapt(["a b c", "d e f"])
    text = keras.Input((), dtype="string")
    keras.Model(text, keras.layers.Embedding(20, 3)(words(text))).export(str(target), verbose=False)


@model
def keras_text(target):
    import keras

    sequence = keras.layers.LSTM(4)
    net = keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(50, 6), sequence, keras.layers.Dense(1)])
    net.export(str(target), verbose=False)


def old(target, build):
    """As TensorFlow 1 exported."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        inputs, outputs, init = build(v1)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(target))
        signature = v1.saved_model.predict_signature_def(inputs, outputs)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            main_op=init,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        builder.save()


@model
def exported_by_tensorflow_1(target):
    def build(v1):
        x = v1.placeholder(tf.float32, [None, 4], "x")
        w = v1.get_variable("w", initializer=RANDOM.normal(size=(4, 3)).astype("float32"), use_resource=False)
        return {"x": x}, {"y": tf.matmul(x, w)}, None

    old(target, build)


@model
def table_of_tensorflow_1(target):
    def build(v1):
        listing = target.parent / "old.txt"
        listing.write_text("yes\nno\n", encoding="utf-8")
        from tensorflow.python.ops import lookup_ops

        x = v1.placeholder(tf.string, [None], "x")
        table = lookup_ops.index_table_from_file(str(listing), num_oov_buckets=1)
        w = v1.get_variable("w", initializer=1.0, use_resource=True)
        return {"x": x}, {"y": tf.cast(table.lookup(x), tf.float32) * w}, v1.tables_initializer()

    old(target, build)


@model
def partitioned_variable_of_tensorflow_1(target):
    def build(v1):
        x = v1.placeholder(tf.float32, [None, 4], "x")
        with v1.variable_scope("p", partitioner=v1.fixed_size_partitioner(2)):
            w = v1.get_variable("w", [4, 6], use_resource=False)
        return {"x": x}, {"y": tf.matmul(x, tf.convert_to_tensor(w))}, None

    old(target, build)


@model
def loop_of_tensorflow_1(target):
    def build(v1):
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [None, 4], "x")
        w = v1.get_variable("w", [4, 4])
        shapes = (tf.TensorShape([]), tf.TensorShape([None, 4]))
        y = v1.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, tf.tanh(tf.matmul(a, w))), (0, x), shape_invariants=shapes)[1]
        v1.enable_control_flow_v2()
        return {"x": x}, {"y": y}, None

    old(target, build)
