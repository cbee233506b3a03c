"""What `fit` reports, takes and refuses, for every model."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Features, Number
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower
from tfrec_fusion.optimizers import adam

N_ITEMS = 6


def _events(**columns):
    """Four users with three items each, a day apart; `columns` are further ones, of 12 values."""
    rows = np.arange(12)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{row % 4}" for row in rows],
            "item_id": [f"i{(row + row // 4) % N_ITEMS}" for row in rows],
            "timestamp": 1.7e9 + 86_400.0 * rows,
            **columns,
        }
    )
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)]})
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, 4)).astype(np.float32)
    return Interactions.from_frame(frame, Catalogue(items, {"text": vectors}))


@pytest.fixture(scope="module")
def events():
    return _events()


def _in_two(batch, rows):
    """A dataset of the first `rows` rows of a batch of one row an example, and of the others."""
    everything = tf.data.Dataset.from_tensor_slices(batch)
    first, rest = everything.take(rows).batch(rows), everything.skip(rows).batch(8)
    return first.concatenate(rest).apply(tf.data.experimental.assert_cardinality(2))


def _two_tower():
    """Two batches: three users of weight 1, then one of weight 5, each with one masked item."""

    def batch(users, weight):
        one = tf.range(users)
        return {
            "user": one,
            "weight": tf.fill([users], weight),
            "history_item": tf.zeros([users], tf.int32),
            "history_row": one,
            "history_age": tf.zeros([users]),
            "target": tf.stack([one, tf.ones_like(one)], 1),
            "masked": tf.stack([one, tf.zeros_like(one)], 1),
            "item_features": tf.zeros([N_ITEMS, 0]),
            "is_warm": tf.ones([N_ITEMS], tf.bool),
        }

    first, second = (tf.data.Dataset.from_tensors(batch(*args)) for args in ((3, 1.0), (1, 5.0)))
    # Sizes differ from batch to batch.
    whole = first.map(_unsized).concatenate(second.map(_unsized))
    whole = whole.apply(tf.data.experimental.assert_cardinality(2))
    # An item is told from 5 that are not masked.
    return TwoTower(_events(), dim=4, trend=False, id_l2=0.0), whole, np.log(5)


def _unsized(batch):
    """The batch with any number of rows."""
    return {k: tf.ensure_shape(v, [None, *v.shape[1:]]) for k, v in batch.items()}


def _ranker():
    weight = np.where(np.arange(12) < 9, 1.0, 5.0)
    events = _events(weight=weight, label=np.arange(12) % 2.0)
    batch = next(iter(ranking_examples(events, 12, negatives=0, shuffle=False)))
    return Ranker(events, dim=4, id_l2=0.0), _in_two(batch, 9), np.log(2)


def _alpha_rec():
    weight = np.where(np.arange(12) < 9, 1.0, 5.0)
    events = _events(weight=weight)
    batch = next(iter(events.batches(12, examples="pairs", history=1, shuffle=False)))
    # A pair is told from all items.
    return AlphaRec(events, dim=4, negatives=None), _in_two(batch, 9), np.log(N_ITEMS)


class _Logs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.seen = dict(logs)


@pytest.mark.parametrize(
    ("strategy", "together"), [(None, 2), pytest.param("mirrored", 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "make", [_two_tower, *(pytest.param(m, marks=pytest.mark.slow) for m in (_ranker, _alpha_rec))]
)
def test_the_loss_is_the_epoch_s_mean(make, strategy, together):
    """Rows 1 to 9 (3 for the two-tower) of weight 1 in a batch, and 3 (1) of weight 5 in another.

    All scores are 0, so every row's loss is the same l, and the mean over all rows of weight times
    loss is (9 * 1 + 3 * 5) / 12 * l = 2 l, while the last batch's is 5 l.
    """
    strategy = (
        tf.distribute.MirroredStrategy(["CPU:0"]) if strategy else tf.distribute.get_strategy()
    )
    with strategy.scope():
        model, batches, unit = make()
        for weight in model.trainable_weights:
            weight.assign(tf.zeros_like(weight))
        model.compile(keras.optimizers.SGD(0.0), steps_per_execution=together)
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=0)
    logs = _Logs()
    history = model.fit(
        batches,
        epochs=2,
        validation_data=batches,
        callbacks=[keras.callbacks.EarlyStopping("loss", patience=9), plateau, logs],
        verbose=0,
    ).history
    assert history["loss"] == pytest.approx([2 * unit, 2 * unit], rel=1e-5)
    assert history["val_loss"] == pytest.approx([2 * unit, 2 * unit], rel=1e-5)
    assert plateau.best == pytest.approx(2 * unit, rel=1e-5)
    assert logs.seen["loss"] == pytest.approx(2 * unit, rel=1e-5)
    assert model.evaluate(batches, return_dict=True, verbose=0)["loss"] == pytest.approx(
        2 * unit, rel=1e-5
    )
    # Nothing of the last batch alone is left in the logs.
    assert not {"total_loss", "regularization_loss"} & logs.seen.keys()


def test_the_loss_has_what_training_adds(events, batches):
    model = TwoTower(events, dim=4, trend=False, id_l2=0.5, id_dropout=0.0)
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.fit(batches, verbose=0).history
    # L2 of the ids is .5 * sum(ids^2) / 2, the same in each batch.
    added = 0.25 * np.square(model.tower.ids.table.numpy()).sum()
    assert added > 1e-3
    assert logs["loss"][0] - logs["softmax_loss"][0] == pytest.approx(added, rel=1e-3)


@pytest.fixture(scope="module")
def batches(events):
    """Of two-towers, of 4 rows."""
    return events.batches(4)


@pytest.fixture(scope="module")
def two_tower(events):
    model = TwoTower(events, dim=4, trend=False)
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def ranker_events():
    return _events(hour=np.arange(12.0))


@pytest.fixture(scope="module")
def ranker(ranker_events):
    model = Ranker(ranker_events, dim=4, features=Features(context=[Number(column="hour")]))
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def ranker_batches(ranker_events, ranker):
    return ranking_examples(ranker_events, 4, context_side=ranker.spec.context_side)


FRAME = pd.DataFrame({"user": [0]})
LABELS = np.ones(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "events"}, r"TwoTower: fit: pass batches, made by events\.batches\(512\)"),
        ({"x": FRAME}, r"pass batches, .* Interactions\.from_frame.* Received: DataFrame"),
        ({"x": LABELS}, r"pass batches, .* Interactions\.from_frame.* Received: ndarray"),
        ({"x": None}, "pass batches, made by .* Received: NoneType"),
        ({"y": LABELS}, "y is not supported; the batches contain the targets. Received: ndarray"),
        ({"class_weight": {0: 1.0}}, "class_weight is not supported; give the events a column"),
        ({"sample_weight": LABELS}, "sample_weight is not supported; give the events a column"),
        ({"validation_split": 0.2}, "validation_split is not supported; pass validation_data"),
        ({"validation_data": "events"}, "fit: validation_data: pass batches"),
        ({"validation_data": (FRAME, LABELS)}, "validation_data: .* Received: tuple"),
        ({"x": "tuples"}, "the batches must be dicts"),
        ({"x": "ranking"}, "batches of ranking_examples can only train a Ranker"),
        ({"x": "no history"}, "the batches have no 'history_item'"),
    ],
)
def test_what_a_two_tower_cannot_fit_is_one_line(events, batches, two_tower, options, message):
    data = {
        "events": lambda: events,
        "ranking": lambda: ranking_examples(events, 4),
        "tuples": lambda: batches.map(lambda batch: (batch, batch["user"])),
        "no history": lambda: batches.map(
            lambda batch: {"user": batch["user"], "weight": batch["weight"]}
        ),
    }
    options = {
        name: data[value]() if isinstance(value, str) else value for name, value in options.items()
    }
    with pytest.raises(InputError, match=message) as error:
        two_tower.fit(**({"x": batches, "verbose": 0} | options))
    assert "\n" not in str(error.value)


def test_what_a_two_tower_cannot_evaluate_is_one_line(events, batches, two_tower):
    with pytest.raises(InputError, match=r"TwoTower: evaluate: pass batches.* Interactions"):
        two_tower.evaluate(events)
    with pytest.raises(InputError, match="evaluate: sample_weight is not supported"):
        two_tower.evaluate(batches, sample_weight=LABELS)


def test_a_model_with_trend_needs_examples_with_times(events):
    model = TwoTower(events, dim=4)
    model.compile("adam")
    with pytest.raises(InputError, match="'item_features' has 0 columns, and the model reads"):
        model.fit(events.batches(4, examples="held_out"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda events: ranking_examples(events, 4),
            r"no 'context_categories', which.*ranking_examples\(events, context_side=model\.spec",
        ),
        (lambda events: events.batches(4), r"no 'item'; pass those of ranking_examples"),
        (lambda events: events.batches(4, examples="pairs"), "no 'item_features'"),
        (
            lambda events: events,
            r"Ranker: fit: pass batches, made by ranking_examples\(events, 1024\)",
        ),
    ],
)
def test_what_a_ranker_cannot_fit_is_one_line(ranker_events, ranker, ranker_batches, make, message):
    with pytest.raises(InputError, match=message) as error:
        ranker.fit(make(ranker_events), verbose=0)
    assert "\n" not in str(error.value)
    assert np.isfinite(ranker.fit(ranker_batches, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_first_call_that_fails_leaves_the_model_whole(events, batches, method):
    """Here the data fail in the middle of the pass, and before in the tracing of the step."""
    model = TwoTower(events, dim=4, trend=False)
    model.compile("adam")
    good = batches
    wide = good.map(lambda batch: batch | {"history_age": tf.zeros([3, 3])})
    with pytest.raises(Exception, match=r"(?s)rank|shape|Shape"):
        getattr(model, method)(wide, verbose=0)
    broken = good.map(
        lambda batch: batch | {"user": tf.debugging.check_numerics([np.nan], "broken")[:0]}
    ).map(lambda batch: batch | {"user": tf.cast(batch["user"], tf.int32)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="broken"):
        getattr(model, method)(broken, verbose=0)
    logs = model.fit(good, validation_data=good, verbose=0).history
    assert np.isfinite([logs["loss"], logs["val_loss"]]).all()


def test_what_compile_cannot_honour_is_refused(events, ranker_events):
    alpha_rec, two_tower = AlphaRec(events, dim=4), TwoTower(events, dim=4)
    for model in (alpha_rec, two_tower):
        name = type(model).__name__
        with pytest.raises(
            InputError, match=f"^{name}: compile: loss: must be one of softmax, .*'mse'"
        ):
            model.compile("adam", "mse")
        with pytest.raises(InputError, match=f"{name}: compile: loss_weights are for a loss of"):
            model.compile("adam", loss_weights=[2.0])
        with pytest.raises(InputError, match=rf"{name}: compile: metrics .*Evaluation\(split\)"):
            model.compile("adam", metrics=["mae"])
        with pytest.raises(InputError, match=f"{name}: compile: weighted_metrics is not supported"):
            model.compile("adam", weighted_metrics=["mae"])
    for model in (alpha_rec, two_tower, Ranker(ranker_events, dim=4)):
        with pytest.raises(InputError, match="compile: jit_compile is not supported"):
            model.compile("adam", jit_compile=True)


@pytest.mark.slow
def test_a_ranker_of_ratings_has_no_auc():
    events = _events(label=1.0 + np.arange(12) % 5)
    batches = ranking_examples(events, 4, negatives=0)
    model = Ranker(events, dim=4)
    model.compile("adam", "mse", metrics=["mae"])
    assert set(model.fit(batches, verbose=0).history) == {"loss", "mae"}
    model.compile("adam")
    assert set(model.fit(batches, verbose=0).history) == {"loss", "auc"}


@pytest.fixture
def half():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("model", [TwoTower, Ranker])
def test_float16_is_refused_and_bfloat16_is_not(events, half, model):
    with pytest.raises(InputError, match=r"float16.*mixed_precision=True.* 'mixed_float16'"):
        model(events, dim=4)
    assert model(events, dim=4, mixed_precision=True).tower.compute_dtype == "bfloat16"


@pytest.fixture(scope="module")
def three(events):
    """Three batches of a row."""
    return events.batches(1).take(3)


def _spoilt(batches, at, **fields):
    """The batches, one of which has other fields."""

    def change(index, batch):
        changed = {
            name: tf.where(index == at, tf.cast(value, batch[name].dtype), batch[name])
            for name, value in fields.items()
        }
        return batch | changed

    return batches.enumerate().map(change)


@pytest.mark.parametrize(
    ("together", "place"), [(1, "batch 2 of epoch 1"), (3, "one of the batches 1 to 3 of epoch 1")]
)
def test_a_loss_that_is_not_finite_stops_and_names_the_batch_and_the_column(
    events, three, together, place
):
    model = TwoTower(events, dim=4, trend=False)
    model.compile("adam", steps_per_execution=together)
    with pytest.raises(InputError) as error:
        model.fit(_spoilt(three, 1, weight=np.inf), verbose=0)
    assert place in str(error.value)
    assert "column 'weight' has 1 values that are not finite in a batch, e.g. inf" in str(
        error.value
    )
    assert "correct or drop these rows" in str(error.value)


@pytest.mark.parametrize("together", [1, 3])
def test_the_cause_is_looked_for_in_the_batches_that_were_seen_of_data_without_end(
    events, three, together
):
    model = TwoTower(events, dim=4, trend=False)
    model.compile("adam", steps_per_execution=together)
    model.scale.assign(np.nan)
    with pytest.raises(InputError, match="all inputs are finite and small"):
        model.fit(three.repeat(), steps_per_epoch=3, verbose=0)
    with pytest.raises(InputError, match="column 'weight' has 1 values that are not finite"):
        model.fit(_spoilt(three, 0, weight=np.inf).repeat(), steps_per_epoch=3, verbose=0)


def test_an_item_s_column_that_is_not_finite_is_named():
    events = _events()
    model = TwoTower(events, dim=4)
    model.compile("adam")
    name = model.spec.feature_names[2]
    column = tf.one_hot(2, len(model.spec.feature_names), on_value=np.nan, off_value=0.0)
    spoilt = events.batches(4).map(
        lambda batch: batch | {"item_features": batch["item_features"] + column}
    )
    with pytest.raises(InputError, match=f"after batch 1 of epoch 1: column '{name}' has 6 values"):
        model.fit(spoilt, verbose=0)


def test_a_training_that_diverges_is_told_from_bad_input(events, batches):
    large = batches.map(lambda batch: batch | {"weight": 1e30 * batch["weight"]})
    for data, message in (
        (batches, r"all inputs are finite and small.*lower the learning rate"),
        (large, r"column 'weight' reaches [\d.]+e\+30; scale it, or lower the learning rate"),
    ):
        model = TwoTower(events, dim=4, trend=False)
        model.compile(keras.optimizers.SGD(1e30))
        with pytest.raises(InputError, match=message):
            model.fit(data, epochs=3, verbose=0)


def test_few_batches_are_told_once(batches, two_tower, caplog):
    two_tower.fit(batches, epochs=2, verbose=0)
    (record,) = _told(caplog)
    count = len(batches)
    assert f"TwoTower: fit: an epoch has {count} batches" in record.getMessage()
    assert "use a smaller batch_size, more epochs or more events" in record.getMessage()
    caplog.clear()
    many = batches.repeat(60)
    two_tower.fit(many.apply(tf.data.experimental.assert_cardinality(60 * count)), verbose=0)
    assert not _told(caplog)


def _told(caplog):
    return [record for record in caplog.records if record.name.startswith("tfrec_fusion")]


def test_the_lowest_ndcg_is_not_taken_for_the_best(batches, two_tower):
    for callback in (
        keras.callbacks.EarlyStopping("val_ndcg@10"),
        keras.callbacks.ModelCheckpoint("m.keras", monitor="val_recall@20", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau("val_mrr@10"),
    ):
        with pytest.raises(InputError, match=r"treats lower values of 'val_.*; pass mode='max'"):
            two_tower.fit(batches, callbacks=[callback], verbose=0)


@pytest.mark.slow
def test_two_devices_train_as_one():
    script = Path(__file__).with_name("two_devices.py")
    paths = [str(script.parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
def test_another_process_loads_a_model_as_it_was_compiled(events, tmp_path):
    model = TwoTower(events, dim=4, trend=False)
    model.compile(adam(1e-3, steps=4), loss="bpr")
    model.save(tmp_path / "model")
    script = (
        "import sys\nfrom tfrec_fusion.models import TwoTower\n"
        "from tfrec_fusion._compat import keras\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "print(type(model.objective).__name__, type(model.optimizer.learning_rate).__name__)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[0] == type(model.objective).__name__


@pytest.mark.parametrize("make", [TwoTower, Ranker, AlphaRec])
@pytest.mark.parametrize("name", ["with features", "_mine", "ü", ""])
def test_a_name_that_no_variable_may_have_is_refused(events, make, name):
    with pytest.raises(InputError, match=f"{make.__name__}: name .* Received: {name!r}"):
        make(events, name=name)
