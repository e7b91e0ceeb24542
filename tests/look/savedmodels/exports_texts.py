"""Sound models that take or hold more than numbers: texts, vocabularies, pictures, examples, large constants."""

import tensorflow as tf

from tests.look.savedmodels.exporting import RANDOM, model, one, parts, save, spec, weights


@model
def several_signatures(target):
    m = parts(w=weights(4, 3))
    by_row = ((spec(None, 4),), lambda x: {"y": x @ m.w})
    total = ((spec(None, 4),), lambda x: {"total": tf.reduce_sum(x @ m.w, axis=1), "largest": tf.reduce_max(x @ m.w, axis=1)})
    words = ((spec(None, dtype=tf.string, name="word"),), lambda word: {"length": tf.strings.length(word)})
    save(target, m, serving_default=by_row, total=total, words=words)


@model
def vocabulary_file(target):
    listing = target.parent / "vocabulary.txt"
    listing.write_text("yes\nno\n", encoding="utf-8")
    source = tf.lookup.TextFileInitializer(
        str(listing), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    m = parts(table=tf.lookup.StaticVocabularyTable(source, 4), w=weights(6, 2))
    one(target, lambda word: {"v": tf.gather(m.w, m.table.lookup(word))}, spec(None, dtype=tf.string, name="word"), module=m)


@model
def vocabulary_in_the_graph(target):
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([1.0, 2.0]))
    m = parts(table=tf.lookup.StaticHashTable(pairs, -1.0))
    one(target, lambda word: {"v": m.table.lookup(word)}, spec(None, dtype=tf.string, name="word"), module=m)


@model
def asset_that_is_read(target):
    listing = target.parent / "greeting.txt"
    listing.write_text("hello", encoding="utf-8")
    m = parts(file=tf.saved_model.Asset(str(listing)))
    one(target, lambda x: {"n": tf.cast(tf.strings.length(tf.io.read_file(m.file.asset_path)), tf.float32) + x}, spec(None), module=m)


@model
def examples_parsed(target):
    features = {"a": tf.io.FixedLenFeature([3], tf.float32), "w": tf.io.VarLenFeature(tf.string)}
    m = parts(w=weights(3, 1))

    def serve(examples):
        parsed = tf.io.parse_example(examples, features)
        return {"score": parsed["a"] @ m.w + tf.cast(tf.shape(tf.sparse.to_dense(parsed["w"]))[1], tf.float32)}

    one(target, serve, spec(None, dtype=tf.string, name="examples"), module=m)


@model
def classified_examples(target):
    m = parts(w=weights(3, 2))

    def serve(inputs):
        parsed = tf.io.parse_example(inputs, {"a": tf.io.FixedLenFeature([3], tf.float32, default_value=[0.0, 1.0, 2.0])})
        scores = tf.nn.softmax(parsed["a"] @ m.w)
        return {"scores": scores, "classes": tf.tile([["no", "yes"]], [tf.shape(scores)[0], 1])}

    one(target, serve, spec(None, dtype=tf.string, name="inputs"), module=m)


@model
def words_split(target):
    def serve(text):
        words = tf.strings.split(tf.strings.lower(text))
        return {"count": words.row_lengths(), "first": words.to_tensor("", shape=[None, 3])}

    one(target, serve, spec(None, dtype=tf.string, name="text"))


@model
def unicode_text(target):
    def serve(text):
        points = tf.strings.unicode_decode(text, "UTF-8", errors="replace")
        return {"total": tf.reduce_sum(points, axis=1)}

    one(target, serve, spec(None, dtype=tf.string, name="text"))


@model
def large_constant(target):
    table = tf.constant(RANDOM.normal(size=(2000, 512)).astype("float32"))
    one(target, lambda ids: {"v": tf.gather(table, tf.clip_by_value(ids, 0, 1999))}, spec(None, dtype=tf.int32, name="ids"))


@model
def splat_constant(target):
    one(target, lambda x: {"y": x @ tf.fill([4, 4000], 0.5)[:, :3] + tf.ones([1, 3])})


@model
def unicode_names(target):
    serve = tf.function(lambda x: {"größe": x * 2, "名前": x}, input_signature=[spec(None, 4, name="x")])
    tf.saved_model.save(tf.Module(), str(target), signatures={"serving_default": serve})


@model
def pictures(target):
    m = parts(w=weights(3, 3, 3, 2))

    def serve(image):
        scaled = tf.image.resize(tf.cast(image, tf.float32) / 255.0, [16, 16])
        return {"y": tf.reduce_mean(tf.nn.conv2d(scaled, m.w, 1, "SAME"), axis=[1, 2])}

    one(target, serve, spec(None, None, None, 3, dtype=tf.uint8, name="image"), module=m)


@model
def encoded_pictures(target):
    decode = lambda p: tf.image.resize(tf.io.decode_image(p, 3, expand_animations=False), [8, 8])  # noqa: E731
    serve = lambda picture: {"y": tf.reduce_mean(tf.map_fn(decode, picture, fn_output_signature=tf.float32), [1, 2, 3])}  # noqa: E731
    one(target, serve, spec(None, dtype=tf.string, name="picture"))


@model
def identifiers(target):
    m = parts(w=weights(5, 2))
    one(target, lambda ids: {"v": tf.gather(m.w, ids)}, spec(None, dtype=tf.int64, name="ids"), module=m)


@model
def asserts_its_input(target):
    def serve(n):
        with tf.control_dependencies([tf.debugging.assert_equal(tf.strings.regex_full_match(n, "ID-[0-9]{6}"), True)]):
            return {"n": tf.strings.to_number(tf.strings.substr(n, 3, 6))}

    one(target, serve, spec(None, dtype=tf.string, name="n"))


@model
def many_inputs(target):
    kinds = {"b": tf.int32, "c": tf.bool, "d": tf.string}
    specs = (spec(None, 2, name="a"), *(spec(None, dtype=dtype, name=name) for name, dtype in kinds.items()))

    def serve(a, b, c, d):
        total = tf.reduce_sum(a, 1) + tf.cast(tf.clip_by_value(b, -9, 9), tf.float32)
        return {"y": tf.where(c, total, -total), "z": tf.strings.join([d, d])}

    one(target, serve, *specs)


@model
def mutable_table(target):
    m = parts(table=tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1))
    m.table.insert(["a", "b"], [1, 2])
    one(target, lambda word: {"n": m.table.lookup(word)}, spec(None, dtype=tf.string, name="word"), module=m)
