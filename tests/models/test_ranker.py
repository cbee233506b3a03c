import inspect

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import AlignedVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Category, Features, Number, Side, State
from tfrec_fusion.features.context import CONTEXT_FIELDS, TABLE
from tfrec_fusion.metrics import gauc
from tfrec_fusion.models import Ranker, RankerConfig
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 60, 40


def _events(times=True, text_shift=0.0, text_mask=None, n_items=N_ITEMS):
    """Users of two tastes; the text tells the tastes apart. The last 4 items never occur."""
    rng = np.random.default_rng(0)
    n = 1500
    user = rng.integers(0, N_USERS, n)
    item = 2 * rng.integers(0, (N_ITEMS - 4) // 2, n) + user % 2
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "hour": rng.integers(0, 24, n),
            "channel": rng.choice(["web", "shop", ""], n),
        }
    )
    if times:
        frame["timestamp"] = rng.integers(0, 200 * int(DAY), n)
    frame = frame.drop_duplicates(["user_id", "item_id"])
    vectors = rng.normal(size=(n_items, 6)).astype(np.float32)
    vectors[:, 0] += 6 * (np.arange(n_items) % 2) - 3 + text_shift
    items = pd.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(n_items)],
            "price": 1.0 + np.arange(n_items),
            "colour": ["red", "green", "", "blue"] * (n_items // 4),
        }
    )
    catalogue = Catalogue(items, {"text": vectors})
    if text_mask is not None:
        vectors = np.where(text_mask[:, None], vectors, 0)
        catalogue.vectors["text"] = AlignedVectors(vectors, text_mask)
    return Interactions.from_frame(frame, catalogue)


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture(scope="module")
def batch(events):
    """A batch `[B, 3]` with context."""
    return _first(events)


def _first(events, **options):
    side = Side.fit(TABLE, FEATURES.context, events.context)
    options = {"negatives": 2, "context_side": side, "history": 8} | options
    return next(iter(ranking_examples(events, 32, **options)))


FEATURES = Features(
    item=[Category(column="colour")], context=[Number(column="hour"), Category(column="channel")]
)
SMALL = {"dim": 8, "hidden": [16, 8]}
OPTIONS = {
    "fused": {},
    "id_only": {"vectors": []},
    "text_only": {"use_ids": False},
    "user_id": {"user": "id"},
    "both": {"user": "both"},
    "no_trend": {"trend": False},
    "gate": {"fusion": "gate"},
    "not_whitened": {"whitening_dim": None},
    "columns": {"features": FEATURES},
    "linear": {"cross_layers": 0, "hidden": []},
}


def _model(events, seed=0, **options):
    keras.utils.set_random_seed(seed)
    return Ranker(events, **(SMALL | options))


def _moved(model):
    """The model with all trained variables moved away from their start."""
    for variable in model.trainable_variables:
        variable.assign_add(0.1 * tf.random.stateless_normal(variable.shape, [1, 2]))
    return model


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_eager_equals_graph_and_a_saved_model_gives_equal_logits(events, batch, options, tmp_path):
    model = _moved(_model(events, **options))
    logits = model(batch)
    assert logits.shape == (32, 3) and logits.dtype == tf.float32
    graph = tf.function(lambda b: model(b))
    np.testing.assert_allclose(graph(batch), logits, atol=1e-4)
    model.compile("adam")
    model.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_allclose(loaded(batch), logits, atol=1e-5)
    assert loaded.get_config() == model.get_config()
    assert "test_ranker" not in str(model.get_config())


def test_any_batch_size_and_both_shapes(events, batch):
    model = _moved(_model(events, features=FEATURES))
    graph = tf.function(lambda b: model(b), reduce_retracing=True)
    expected = model(batch).numpy()
    for size in (5, 1, 0):
        part = {name: values[:size] for name, values in batch.items()}
        np.testing.assert_allclose(graph(part), expected[:size], atol=1e-4)
    lists = ("item", "label", "item_features", "is_warm")
    flat = {name: v[:, 1] if name in lists else v for name, v in batch.items()}
    np.testing.assert_allclose(graph(flat), expected[:, 1], atol=1e-4)


def test_longer_padding_changes_nothing(events, batch):
    model = _moved(_model(events))
    wide = dict(batch)
    wide["history"] = tf.pad(batch["history"], [[0, 0], [3, 0]], constant_values=-1)
    wide["history_age"] = tf.pad(batch["history_age"], [[0, 0], [3, 0]])
    np.testing.assert_allclose(model(wide), model(batch), atol=1e-5)


def test_fit_evaluate_predict(events, batch):
    batches = ranking_examples(events, 64, negatives=2, history=8)
    model = _model(events)
    model.compile(adam(1e-2, steps=3 * len(batches)), metrics=["mae"])
    history = model.fit(batches, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    figures = model.evaluate(batches, return_dict=True, verbose=0)
    assert figures["auc"] > 0.6 and "mae" in figures
    ordered = ranking_examples(events, 64, negatives=2, history=8, shuffle=False, seed=5)
    predicted = model.predict(ordered, verbose=0)
    assert predicted.shape == (len(events), 3)


@pytest.mark.slow
def test_it_learns_tastes_of_text_for_items_without_a_sale(events):
    batches = ranking_examples(events, 128, negatives=3, history=16, min_history=1)
    model = _model(events, trend=False)
    model.compile(adam(2e-2, steps=6 * len(batches)))
    model.fit(batches, epochs=6, verbose=0)
    scores = model.scorer(State.of(events))(np.arange(N_USERS, dtype=np.int32))
    assert scores.shape == (N_USERS, N_ITEMS)
    # User u bought items of the parity of its name; the last 4 items were never sold.
    parity = np.array([int(name[1:]) % 2 for name in events.users.ids])
    users = np.repeat(np.arange(N_USERS), 4)
    labels = (np.arange(N_ITEMS - 4, N_ITEMS)[None, :] % 2 == parity[:, None]).ravel()
    assert gauc(users, labels, scores[:, -4:].ravel()) > 0.95


def test_a_scorer_equals_the_model_on_a_batch(events):
    model = _moved(_model(events))
    at = float(events.timestamp.max()) + 1
    users = np.array([3, -1, 7], np.int32)
    scores = model.scorer(State.of(events, at), history=8)(users)
    test = events.select(np.array([np.flatnonzero(events.user == 7)[-1]]))
    late = test._columns.assign(timestamp=at + DAY)
    late = Interactions(events.catalogue, events.users, late)
    batch = next(iter(ranking_examples(late, known=events, at=at, history=200, negatives=2)))
    # The event's own item is hidden from the batch's history, so put it back.
    full = model.scorer(State.of(events, at), history=200)(users)
    own = int(batch["item"][0, 0])
    batch["history"] = tf.where(
        (batch["history"] == -1) & (batch["history_age"] == 0) & _hole(batch["history"]),
        own,
        batch["history"],
    )
    time = events.timestamp[(events.user == 7) & (events.item == own)].min()
    age = tf.cast((at - time) / DAY, tf.float32)
    batch["history_age"] = tf.where(batch["history"] == own, age, batch["history_age"])
    np.testing.assert_allclose(
        model(batch)[0], full[2, batch["item"][0].numpy()], atol=2e-2, rtol=1e-2
    )
    assert np.isfinite(scores).all()


def _hole(history):
    """True at the padding that has an item before it."""
    before = tf.cumsum(tf.cast(history >= 0, tf.int32), axis=1, exclusive=True)
    return before > 0


def test_controls_see_what_they_may(events, batch):
    other_text = _events(text_shift=3.0)
    other_text.catalogue.vectors["text"].values[:] = other_text.catalogue.vectors["text"].values[
        ::-1
    ]

    def logits(data, **options):
        return _model(data, **options)(batch).numpy()

    np.testing.assert_array_equal(logits(events, vectors=[]), logits(other_text, vectors=[]))
    assert (logits(events) != logits(other_text)).any()
    text_only = _model(events, use_ids=False)
    assert not any("item_id" in variable.name for variable in text_only.variables)
    # Two items with equal text and features are told apart by their ids only.
    same = dict(batch)
    text_only.tower.frozen["text"].matrix.assign(
        tf.ones_like(text_only.tower.frozen["text"].matrix)
    )
    same["item_features"] = tf.zeros_like(batch["item_features"])
    out = text_only(same).numpy()
    np.testing.assert_allclose(out, np.repeat(out[:, :1], 3, 1), atol=1e-5)


def test_without_trend_only_the_catalogues_numbers_are_read(events, batch):
    model = _moved(_model(events, trend=False))
    price = model.spec.feature_names.index("price")
    features = batch["item_features"].numpy()
    changed = features + 1.0
    changed[..., price] = features[..., price]
    before, after = model(batch), model(dict(batch) | {"item_features": tf.constant(changed)})
    np.testing.assert_array_equal(before, after)


def test_an_item_that_was_not_seen_has_no_id(events, batch):
    model = _moved(_model(events, vectors=[]))
    same = dict(batch) | {
        "item_features": tf.zeros_like(batch["item_features"]),
        "is_warm": tf.zeros_like(batch["is_warm"]),
    }
    out = model(same).numpy()
    np.testing.assert_allclose(out, np.repeat(out[:, :1], 3, 1), atol=1e-5)


def test_a_missing_vector_is_not_read():
    mask = np.arange(N_ITEMS) % 3 != 0
    events = _events(text_mask=mask)
    model, batch = _moved(_model(events)), _first(events)
    before = model(batch).numpy()
    layer = model.tower.frozen["text"]
    assert (layer.matrix.numpy()[~mask] == 0).all()
    assert np.isfinite(before).all()
    loss = model.compile("adam") or model.compute_loss(batch, training=True)
    assert np.isfinite(loss)


def test_unknown_missing_and_other_contexts_are_told_apart(events, batch):
    model = _moved(_model(events, features=FEATURES))

    def logits(hour, channel):
        frame = pd.DataFrame({"hour": [hour] * 32, "channel": [channel] * 32})
        encoded = model.spec.context_side.encode(frame)
        return model(dict(batch) | dict(zip(CONTEXT_FIELDS, encoded, strict=True))).numpy()

    unknown = logits(8.0, "moon")
    np.testing.assert_array_equal(unknown, logits(8.0, "sun"))
    for other in (logits(8.0, "web"), logits(8.0, ""), logits(9.0, "moon"), logits(np.nan, "moon")):
        assert np.abs(other - unknown).max() > 1e-4


def test_the_default_loss_by_hand(events, batch):
    model = _moved(_model(events, id_l2=0.0))
    model.compile("sgd")
    weights = tf.range(32, dtype=tf.float32)
    loss = model.compute_loss(dict(batch) | {"weight": weights})
    z, y = model(batch).numpy(), batch["label"].numpy()
    each = np.logaddexp(0, np.where(y > 0, -z, z)).mean(1)
    # Keras divides a weighted sum by the number of rows.
    assert float(loss) == pytest.approx((each * np.arange(32)).mean(), rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    ["binary_crossentropy", keras.losses.BinaryCrossentropy(), keras.losses.binary_crossentropy],
)
def test_a_loss_of_probabilities_is_refused(events, loss):
    model = _model(events)
    with pytest.raises(InputError, match="from_logits=True"):
        model.compile("sgd", loss=loss)
    model.compile("sgd", loss=keras.losses.BinaryCrossentropy(from_logits=True))


def test_another_loss(events, batch):
    model = _model(events)
    model.compile("sgd", loss=keras.losses.MeanSquaredError())
    expected = np.mean((model(batch).numpy() - batch["label"].numpy()) ** 2)
    assert float(model.compute_loss(batch)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["softmax", "bpr", "list_mle", "lambda_rank"])
def test_a_loss_of_lists_refuses_rows_of_one_item(events, loss):
    model = _model(events)
    model.compile("sgd", loss=loss)
    batches = ranking_examples(events, 32, negatives=0, history=8)
    batches = batches.map(lambda batch: batch | {"label": tf.ones(tf.shape(batch["item"]))})
    with pytest.raises(InputError, match="one item each, so that it would learn nothing"):
        model.fit(batches, verbose=0)


@pytest.mark.slow
def test_mixed_precision_trains(events):
    model = _model(events, mixed_precision=True)
    assert model.tower.compute_dtype == "bfloat16"
    model.compile(adam(1e-2, steps=20))
    batches = ranking_examples(events, 64, negatives=2, history=8)
    loss = model.fit(batches, epochs=1, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    assert model(_first(events)).dtype == tf.float32


@pytest.mark.slow
def test_without_times():
    events = _events(times=False)
    model = _moved(_model(events, features=Features(item=FEATURES.item)))
    assert model.spec.feature_names == ("price",)
    batches = ranking_examples(events, 64, negatives=2, history=8)
    model.compile(adam(1e-2, steps=len(batches)))
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()
    assert model.scorer(State.of(events))(np.array([0, -1])).shape == (2, N_ITEMS)


def test_defaults_of_the_config_are_those_of_the_model(events):
    assert RankerConfig() == Ranker(events).config
    assert "options" in inspect.signature(Ranker.__init__).parameters


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dims": 8}, "Ranker: dims: .*Received: 8"),
        ({"dim": 0}, "Ranker: dim: .*Received: 0"),
        ({"fusion": "magic"}, "Ranker: fusion"),
        ({"id_dropout": 1.0}, "Ranker: id_dropout"),
        ({"vectors": ["image"]}, "Ranker: vectors: .*'image'"),
        ({"use_ids": False, "vectors": []}, "use_ids=False needs vectors"),
        ({"features": {"item": [{"kind": "category", "column": "shape"}]}}, "missing: shape"),
        ({"features": {"context": [{"kind": "number", "column": "rain"}]}}, "missing: rain"),
        ({"context": ["hour"]}, r"Ranker: context: .*Received: \['hour'\]"),
    ],
)
def test_a_mistake_is_named(events, options, says):
    with pytest.raises(InputError, match=says):
        Ranker(events, **options)


def test_batches_without_labels_are_refused(events, batch):
    model = _model(events)
    model.compile("adam")
    with pytest.raises(InputError, match="label"):
        model.compute_loss({name: v for name, v in batch.items() if name != "label"})


def test_a_scorer_refuses_other_items(events):
    with pytest.raises(InputError, match="items"):
        _model(events).scorer(State.of(_events(n_items=N_ITEMS + 4)))
