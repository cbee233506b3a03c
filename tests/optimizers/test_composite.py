"""`TableOptimizer`: who gets what, and that all optimizers of tables survive saving."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers import IdEmbedding
from tfrec_fusion.optimizers import (
    LazyAdam,
    RowWiseAdagrad,
    TableOptimizer,
    WarmupCosine,
    for_tables,
    resolve,
)

MAKERS = {
    "RowWiseAdagrad": lambda **k: RowWiseAdagrad(0.05, weight_decay=0.01, **k),
    "LazyAdam": lambda **k: LazyAdam(0.05, **k),
    "TableOptimizer": lambda **k: for_tables(0.05, 0.01, global_clipnorm=1.0, **k),
    "TableOptimizer with schedules": lambda **k: for_tables(
        WarmupCosine(0.05, 100, 5), WarmupCosine(0.01, 100, 5), **k
    ),
    "TableOptimizer of Keras's": lambda **k: TableOptimizer(
        LazyAdam(0.02), keras.optimizers.SGD(0.1, momentum=0.9), **k
    ),
}
X = np.arange(32)[:, None] % 8
Y = np.float32(X > 3)


def _model():
    rows = keras.Input((1,), dtype=tf.int32)
    vectors = keras.layers.Embedding(50, 4)(rows)
    own = IdEmbedding(50, 4, name="ids")(rows)
    both = keras.layers.Concatenate()([vectors, own])
    return keras.Model(rows, keras.layers.Dense(1)(keras.layers.Flatten()(both)))


def _compiled(make):
    keras.utils.set_random_seed(3)
    model = _model()
    model.compile(make(), "mse")
    return model


def _fit(model, epochs=2):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def _same(model, other):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def _some(*names):
    return pytest.mark.parametrize("make", [MAKERS[name] for name in names], ids=names)


def test_names_choose_the_tables():
    model = _model()
    optimizer = for_tables()
    # Keras's Embedding, then IdEmbedding's table and unknown vector, then Dense.
    tables = [v.shape for v in model.trainable_variables if optimizer.is_table(v)]
    assert tables == [(50, 4), (50, 4)]
    for name, expected in {
        "tower/ids/table": True,
        "table": True,
        "embedding/embeddings/part_3": True,
        "item_bias": True,
        "dense/bias": False,
        "table/kernel": False,
        "my_table": False,
    }.items():
        assert optimizer.is_table(tf.Variable([1.0], name=name)) == expected, name
    wider = for_tables(names=["*_table"])
    assert wider.is_table(tf.Variable([1.0], name="tower/my_table"))
    assert not wider.is_table(tf.Variable([1.0], name="tower/table"))


def test_each_weight_gets_the_steps_of_its_own_optimizer():
    rng = np.random.default_rng(0)

    def weights():
        table = tf.Variable(tf.ones([5, 2]), name="table")
        return table, tf.Variable(tf.ones([2, 2]), name="kernel"), tf.Variable(1.0, name="scale")

    together, apart = weights(), weights()
    both = for_tables(0.05, 0.01, dense_weight_decay=0.1)
    tables = RowWiseAdagrad(0.05)
    dense = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    for _ in range(5):
        lookup = tf.IndexedSlices(
            tf.constant(rng.normal(size=(4, 2)), tf.float32),
            tf.constant(rng.integers(0, 5, 4)),
            tf.constant([5, 2]),
        )
        others = [tf.constant(rng.normal(size=s), tf.float32) for s in ((2, 2), ())]
        both.apply_gradients(zip([lookup, *others], together, strict=True))
        tables.apply_gradients([(lookup, apart[0])])
        dense.apply_gradients(zip(others, apart[1:], strict=True))
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)
    assert both.iterations.numpy() == 5


def test_a_lookup_into_a_dense_weight_is_not_swept():
    weight = tf.Variable(tf.ones([4, 1]), name="kernel")
    gradient = tf.IndexedSlices(tf.constant([[1.0]]), tf.constant([2]), tf.constant([4, 1]))
    optimizer = for_tables()
    for _ in range(2):
        optimizer.apply_gradients([(gradient, weight)])
    assert (weight.numpy()[[0, 1, 3]] == 1).all()
    assert weight.numpy()[2] < 1


@pytest.mark.parametrize("only", ["table", "kernel"])
def test_models_without_tables_or_without_dense_weights(only):
    weight = tf.Variable(tf.ones([2, 2]), name=only)
    other = tf.Variable(tf.ones([2, 2]), name="table")
    optimizer = for_tables()
    # The second has no gradient, as a layer that a loss does not reach.
    optimizer.apply_gradients([(tf.ones([2, 2]), weight), (None, other)])
    assert (weight.numpy() < 1).all()
    assert (other.numpy() == 1).all()


def test_global_clipnorm_goes_over_tables_and_dense_weights():
    table = tf.Variable(tf.zeros([2, 1]), name="table")
    kernel = tf.Variable(tf.zeros([1, 1]), name="kernel")
    optimizer = TableOptimizer(
        keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0), global_clipnorm=1.0
    )
    lookup = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), tf.constant([2, 1]))
    # 1 + 2 = 3 and 4: norm 5.
    optimizer.apply_gradients([(lookup, table), (tf.constant([[4.0]]), kernel)])
    np.testing.assert_allclose(table.numpy(), [[0], [-0.6]], rtol=1e-6)
    np.testing.assert_allclose(kernel.numpy(), [[-0.8]], rtol=1e-6)


def test_schedules_of_both_follow_the_shared_count():
    optimizer = MAKERS["TableOptimizer with schedules"]()
    model = _compiled(lambda: optimizer)
    _fit(model, epochs=1)
    assert optimizer.iterations.numpy() == 2
    # Two steps have been made; the rates are those of the second, 2 / 5 of the peaks.
    assert float(optimizer.learning_rate) == pytest.approx(0.05 * 2 / 5)
    assert float(optimizer.dense.learning_rate) == pytest.approx(0.01 * 2 / 5)


def test_callbacks_set_the_rate_of_the_tables():
    model = _compiled(MAKERS["TableOptimizer"])
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule])
    assert float(model.optimizer.learning_rate) == 0.25
    assert float(model.optimizer.dense.learning_rate) == pytest.approx(0.01)
    model.optimizer.learning_rate = 0.125
    assert float(model.optimizer.tables.learning_rate) == 0.125


@_some("RowWiseAdagrad", "LazyAdam", "TableOptimizer")
def test_it_trains(make):
    losses = _fit(_compiled(make), epochs=30)
    assert losses[-1] < losses[0] / 2


def test_config_rebuilds_the_optimizer(make):
    optimizer = make()
    config = optimizer.get_config()
    twin = type(optimizer).from_config(config)
    assert twin.get_config() == config
    assert keras.saving.get_registered_name(type(optimizer)).startswith("tfrec_fusion>")
    for legacy in (True, False):
        again = keras.optimizers.deserialize(
            keras.optimizers.serialize(optimizer, use_legacy_format=legacy),
            use_legacy_format=legacy,
        )
        assert type(again) is type(optimizer)
        assert again.get_config() == config
    written = keras.optimizers.serialize(optimizer, use_legacy_format=True)
    assert resolve(written).get_config() == config


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_saved_and_loaded_it_goes_on_as_if_it_had_not_stopped(make, file, tmp_path):
    model = _compiled(make)
    if file == "model.h5" and "WarmupCosine" in str(model.optimizer.get_config()):
        pytest.skip("Keras loads no schedule but its own from HDF5, whatever the optimizer")
    _fit(model)
    model.save(tmp_path / file)
    again = keras.models.load_model(tmp_path / file)
    assert type(again.optimizer) is type(model.optimizer)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert again.optimizer.iterations.numpy() == 4
    for m in (model, again):
        _fit(m)
    _same(model, again)


def test_a_saved_model_keeps_the_configuration(tmp_path):
    # Keras itself starts its current optimizers anew when it loads this format.
    model = _compiled(MAKERS["TableOptimizer with schedules"])
    _fit(model)
    model.save(tmp_path / "model")
    again = keras.models.load_model(tmp_path / "model")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    _same(model, again)
    _fit(again)


@_some("RowWiseAdagrad", "LazyAdam", "TableOptimizer of Keras's")
def test_a_checkpoint_holds_the_whole_state(make, tmp_path):
    model, again = _compiled(make), _compiled(make)
    _fit(model)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "at")
    status = tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    _fit(again, epochs=1)
    status.assert_existing_objects_matched()
    status = tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    status.assert_consumed()
    for m in (model, again):
        _fit(m)
    _same(model, again)


@_some("TableOptimizer with schedules")
def test_restored_before_the_first_step(make, tmp_path):
    model, again = _compiled(make), _compiled(make)
    _fit(model)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "at")
    tf.train.Checkpoint(model=again, optimizer=again.optimizer).restore(path)
    for m in (model, again):
        _fit(m)
    _same(model, again)


@_some("LazyAdam", "TableOptimizer")
def test_under_a_loss_scale(make, tmp_path):
    plain, scaled = _compiled(make), _compiled(make)
    scaled.compile(keras.mixed_precision.LossScaleOptimizer(make(), initial_scale=1024.0), "mse")
    for model in (plain, scaled):
        _fit(model)
    _same(plain, scaled)
    scaled.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for model in (scaled, again):
        _fit(model)
    _same(scaled, again)


@_some("TableOptimizer")
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_under_mixed_precision(make, policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = _compiled(make)
        # float16 wraps the optimizer in a loss scale by itself.
        losses = _fit(model, epochs=30)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert losses[-1] < losses[0] / 2
    assert all(v.dtype != tf.float16 for v in model.optimizer.variables)


@_some("LazyAdam", "TableOptimizer")
def test_rows_of_no_batch_stay_bit_identical_in_fit(make):
    model = _compiled(make)
    before = [v.numpy() for v in model.trainable_variables]
    _fit(model)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        if variable.shape[0] == 50:
            # Rows 0 to 7 occur in X.
            assert (variable.numpy()[8:] == old[8:]).all()
            assert (variable.numpy()[:8] != old[:8]).any(axis=1).all()


@_some("TableOptimizer")
def test_steps_per_execution_changes_nothing(make):
    models = []
    for steps in (1, 2):
        model = _compiled(make)
        model.compile(make(), "mse", steps_per_execution=steps)
        _fit(model)
        models.append(model)
    _same(*models)


@_some("TableOptimizer")
def test_a_step_under_xla_is_the_same(make):
    models = []
    for jit_compile in (False, True):
        model = _compiled(make)
        model.compile(make(), "mse", jit_compile=jit_compile)
        _fit(model)
        models.append(model)
    _same(*models)


@pytest.mark.parametrize("kind", [RowWiseAdagrad, LazyAdam, TableOptimizer])
def test_by_name(kind):
    assert type(resolve(f"tfrec_fusion>{kind.__name__}")) is kind


def test_a_config_as_people_write_it():
    optimizer = resolve(
        {
            "class_name": "tfrec_fusion>TableOptimizer",
            "config": {
                "tables": {
                    "class_name": "tfrec_fusion>RowWiseAdagrad",
                    "config": {"learning_rate": 0.25},
                },
                "dense": "adam",
                "global_clipnorm": 5.0,
            },
        }
    )
    assert float(optimizer.learning_rate) == 0.25
    assert type(optimizer.dense) is keras.optimizers.Adam


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"tables": keras.optimizers.legacy.Adam}, "tables must be .* Received: Adam"),
        ({"dense": lambda: LazyAdam(clipnorm=1.0)}, r"must not clip .* \['clipnorm'\]"),
        (
            {"dense": lambda: keras.optimizers.Adam(use_ema=True)},
            r"not support EMA.* \['use_ema'\]",
        ),
        ({"names": lambda: "table"}, "names must be a list of patterns. Received: 'table'"),
        ({"names": list}, r"names must be a list .* Received: \[\]"),
        ({"dense": lambda: "nope"}, "optimizer 'nope': Unknown optimizer"),
    ],
)
def test_bad_arguments_get_one_line(arguments, says):
    with pytest.raises(InputError, match=says) as error:
        TableOptimizer(**{key: make() for key, make in arguments.items()})
    assert "\n" not in str(error.value)


def test_an_optimizer_in_use_is_refused():
    used = LazyAdam()
    used.build([tf.Variable([1.0])])
    with pytest.raises(InputError, match="dense is already in use"):
        TableOptimizer(dense=used)
