import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import SpectralFusion
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.as_of import as_of_examples
from tfrec_fusion.examples.autoencoder import autoencoder_examples
from tfrec_fusion.features import State
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.models import TwoTower, TwoTowerConfig
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 60, 40


def _events(times=True, seed=0):
    """Users of two tastes; the text vectors tell the tastes apart. The last 4 items never occur."""
    rng = np.random.default_rng(seed)
    n = 1500
    user = rng.integers(0, N_USERS, n)
    item = 2 * rng.integers(0, (N_ITEMS - 4) // 2, n) + user % 2
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    if times:
        frame["timestamp"] = rng.integers(0, 200 * int(DAY), n)
    else:
        frame = frame.drop_duplicates()
    vectors = rng.normal(size=(N_ITEMS, 6)).astype(np.float32)
    vectors[:, 0] += 6 * (np.arange(N_ITEMS) % 2) - 3
    items = pd.DataFrame(
        {"item_id": [f"i{i}" for i in range(N_ITEMS)], "price": 1.0 + np.arange(N_ITEMS)}
    )
    return Interactions.from_frame(frame, Catalogue(items, {"text": vectors}))


@pytest.fixture(scope="module")
def events():
    return _events()


def _batches(events, **options):
    return events.batches(16, **options)


# options, and whether the events have times
MORE = {
    "text_only": ({"use_ids": False}, True),
    "timeless_both": ({"user": "both"}, False),
    "sum": ({"fusion": "sum"}, True),
    "id_only": ({"vectors": []}, True),
    "user_id": ({"user": "id"}, True),
    "both": ({"user": "both"}, True),
    "no_trend": ({"trend": False}, True),
    "raw_vectors": ({"whitening_dim": None}, True),
    "timeless": ({}, False),
    "timeless_without_user_layer": ({"user_layer": False}, False),
    "timeless_softmax": ({"loss": "softmax"}, False),
}


@pytest.mark.parametrize(
    ("options", "times"),
    [
        pytest.param({}, True, id="null_space"),
        *(pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in MORE.items()),
    ],
)
def test_trains_saves_and_loads_with_equal_scores(options, times, tmp_path):
    keras.utils.set_random_seed(0)
    events = _events(times)
    batches = _batches(events)
    model = TwoTower(events, dim=8, **options)
    model.compile(adam(0.02, steps=3 * len(batches)))
    before = model.evaluate(batches, return_dict=True, verbose=0)["softmax_loss"]
    model.fit(batches, epochs=3, verbose=0)
    assert model.evaluate(batches, return_dict=True, verbose=0)["softmax_loss"] < before
    users = np.array([0, 5, -1], np.int32)
    scores = model.scorer(State.of(events))(users)
    assert scores.shape == (3, N_ITEMS)
    assert np.isfinite(scores).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), scores, rtol=1e-5, atol=1e-5)


def test_the_score_is_the_written_formula(events):
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8)
    for weight in model.trainable_weights:
        weight.assign(tf.random.normal(weight.shape, stddev=0.3, seed=1))
    batch = next(iter(as_of_examples(events, 4)))
    logits = model(batch).numpy()
    items = model.tower(tf.range(N_ITEMS), batch["is_warm"]).numpy()
    own = (batch["history_row"] == 0).numpy()
    v, ages = items[batch["history_item"].numpy()[own]], batch["history_age"].numpy()[own]
    w = np.exp(-ages / 30)
    known = [np.log1p(len(v)) / 4, np.log1p(ages.min()) / 4]
    pooled = np.concatenate([w @ v / w.sum() ** 0.5, v.sum(0) / len(v) ** 0.5, known])
    kernel, bias = model.user_tower.to_user.get_weights()
    u = pooled @ kernel + bias
    x = batch["item_features"].numpy()
    # The last column is the price, whose mean and deviation were fitted to the training items.
    price = np.log1p(events.catalogue.numeric("price")[events.item_counts() > 0])
    x[:, -1] = (x[:, -1] - price.mean()) / price.std()
    hidden_kernel, hidden_bias = model.trend.hidden.get_weights()
    x = np.concatenate([x, np.maximum(x @ hidden_kernel + hidden_bias, 0)], 1)

    def dense(layer, value):
        kernel, bias = layer.get_weights()
        return value @ kernel + bias

    expected = model.scale.numpy() * items @ u
    expected += (
        np.where(batch["is_warm"], model.bias.numpy(), 0) + dense(model.trend.prior, x)[:, 0]
    )
    expected += dense(model.trend.match, x) @ dense(model.user_trend, np.concatenate([u, known]))
    np.testing.assert_allclose(logits[0], expected, rtol=1e-4, atol=1e-4)


def test_sampled_candidates_score_as_the_whole_catalogue_does(events):
    model = TwoTower(events, dim=8)
    full = next(iter(as_of_examples(events, 4, seed=1)))
    sampled = next(iter(as_of_examples(events, 4, candidates=6, seed=1)))
    np.testing.assert_array_equal(full["user"], sampled["user"])
    expected = tf.gather(model(full), sampled["candidate"], axis=1)
    np.testing.assert_allclose(model(sampled), expected, rtol=1e-5, atol=1e-5)


def test_sampled_training_learns(events):
    keras.utils.set_random_seed(0)
    batches = as_of_examples(events, 16, candidates=10)
    model = TwoTower(events, dim=8)
    model.compile(adam(0.02, steps=3 * len(batches)))
    full = as_of_examples(events, 16)
    before = model.evaluate(full, return_dict=True, verbose=0)["softmax_loss"]
    model.fit(batches, epochs=3, verbose=0)
    assert model.evaluate(full, return_dict=True, verbose=0)["softmax_loss"] < before


@pytest.mark.parametrize("user_layer", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_an_item_s_own_part_is_out_of_its_score(user_layer, weighted):
    keras.utils.set_random_seed(0)
    events = _events(times=False)
    initial = SpectralFusion(dim=8, popularity_power=0.5).fit(events.matrix()) if weighted else None
    model = TwoTower(events, dim=8, user_layer=user_layer, initial=initial, id_dropout=0)
    for weight in model.trainable_weights:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.3))
    batch = next(iter(autoencoder_examples(events, 4, dropout=0.3)))
    plain = model({name: value for name, value in batch.items() if name != "self_pairs"}).numpy()
    scores = model(batch).numpy()
    own = set(map(tuple, batch["self_pairs"].numpy().tolist()))
    items, rows = batch["history_item"].numpy(), batch["history_row"].numpy()
    assert own == set(zip(rows.tolist(), items.tolist(), strict=True))
    assert own < set(map(tuple, batch["target"].numpy().tolist()))
    # By hand: the history's weights over their root sum stay, the item itself is left out.
    fused = model.tower(tf.range(N_ITEMS), batch["is_warm"]).numpy()
    weights = model.user_tower.history_weights.numpy() if weighted else np.ones(N_ITEMS)
    for row, item in np.ndindex(scores.shape):
        if (row, item) not in own:
            np.testing.assert_allclose(scores[row, item], plain[row, item], rtol=1e-5, atol=1e-5)
            continue
        history = items[rows == row]
        w = weights[history] / weights[history].sum() ** 0.5
        rest = w[history != item] @ fused[history[history != item]]
        user = rest
        if user_layer:
            kernel, bias = model.user_tower.to_user.get_weights()
            known = np.log1p(len(history)) / 4
            user = np.concatenate([rest, rest, [known, 0]]) @ kernel + bias
        expected = model.scale.numpy() * user @ fused[item] + model.bias.numpy()[item]
        np.testing.assert_allclose(scores[row, item], expected, rtol=1e-4, atol=1e-4)


def test_the_squared_loss_needs_its_examples(events):
    model = TwoTower(events, dim=8, loss="normalised_squared")
    with pytest.raises(InputError, match="needs examples='autoencoder'"):
        model.compute_loss(next(iter(as_of_examples(events, 4))))


def test_learns_the_planted_taste_for_warm_and_cold_items(events):
    keras.utils.set_random_seed(0)
    batches = as_of_examples(events, 16)
    model = TwoTower(events, dim=8)
    model.compile(adam(0.02, steps=4 * len(batches)))
    model.fit(batches, epochs=4, verbose=0)
    users = np.arange(N_USERS)
    scores = model.scorer(State.of(events))(users)
    parity = np.array([int(name[1:]) % 2 for name in events.users.ids])
    for items in (np.arange(N_ITEMS - 4), np.arange(N_ITEMS - 4, N_ITEMS)):
        own = np.where(items[None] % 2 == parity[:, None], scores[:, items], np.nan)
        other = np.where(items[None] % 2 != parity[:, None], scores[:, items], np.nan)
        assert (np.nanmean(own, 1) > np.nanmean(other, 1)).mean() > 0.95


def test_an_unseen_item_has_neither_id_nor_bias(events):
    model = TwoTower(events, dim=8)
    model.bias.assign(tf.ones(N_ITEMS))
    rows = tf.range(N_ITEMS)
    features, _ = ItemTrend(events).at(ItemTrend(events).end)
    before = model.item_vectors(rows, features, tf.zeros(N_ITEMS, tf.bool)).numpy()
    model.tower.ids.table.assign_add(tf.ones_like(model.tower.ids.table))
    model.bias.assign_add(tf.ones(N_ITEMS))
    after = model.item_vectors(rows, features, tf.zeros(N_ITEMS, tf.bool)).numpy()
    np.testing.assert_array_equal(before, after)
    seen = model.item_vectors(rows, features, tf.ones(N_ITEMS, tf.bool)).numpy()
    assert (seen[:, -1] == before[:, -1] + 2).all()


def test_starts_untrained_from_spectral_vectors():
    events = _events(times=False)
    matrix = events.matrix()
    spectral = SpectralFusion(dim=8, popularity_power=0.25).fit(
        matrix, events.catalogue.vectors["text"].values
    )
    model = TwoTower(events, dim=8, vectors=[], initial=spectral)
    scores = model.scorer(State.of(events))(np.arange(N_USERS))
    expected = spectral.user_vectors(matrix) @ spectral.vectors.T
    # Equal up to a positive factor a user, and so the same ranking.
    scores /= np.linalg.norm(scores, axis=1, keepdims=True)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_predict_and_mixed_precision(events):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = TwoTower(events, dim=8)
        batch = as_of_examples(events, 16).take(1)
        scores = model.predict(batch, verbose=0)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_mixed_precision_is_an_option_that_is_saved(events, tmp_path):
    model = TwoTower(events, dim=8, mixed_precision=True)
    assert keras.mixed_precision.global_policy().name == "float32"
    assert model.tower.compute_dtype == "bfloat16"
    assert all(w.dtype != tf.bfloat16 for w in model.weights)
    batches = as_of_examples(events, 16)
    model.compile("sgd")
    model.fit(batches.take(2), verbose=0)
    scores = model.scorer(State.of(events))(np.arange(N_USERS))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.tower.compute_dtype == "bfloat16"
    np.testing.assert_allclose(
        loaded.scorer(State.of(events))(np.arange(N_USERS)), scores, rtol=1e-5
    )


def test_config_defaults_are_the_documented_ones():
    documented = inspect.getdoc(TwoTowerConfig)
    assert all(f"{name}:" in documented for name in TwoTowerConfig.model_fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 8}, "dims"),
        ({"dim": 0}, "dim"),
        ({"fusion": "average"}, "fusion.*average"),
        ({"id_dropout": 1.0}, "id_dropout.*1.0"),
        ({"vectors": ["image"]}, "image"),
        ({"vectors": [], "use_ids": False}, "needs vectors"),
    ],
)
def test_bad_options(events, options, message):
    with pytest.raises(InputError, match=message) as error:
        TwoTower(events, **options)
    assert "\n" not in str(error.value)


def test_initial_of_another_size(events):
    @dataclasses.dataclass
    class Initial:
        vectors: np.ndarray
        weights: np.ndarray

    with pytest.raises(InputError, match=r"initial: vectors must have the shape .*\(40, 128\)"):
        TwoTower(events, initial=Initial(np.zeros((40, 8), np.float32), np.ones(40)))


def test_other_users_are_refused_where_their_ids_are_read(events):
    other = _events(seed=1)
    with pytest.raises(InputError, match="users: the model was built for other users"):
        TwoTower(events, dim=8, user="both").scorer(State.of(other))
    assert TwoTower(events, dim=8).scorer(State.of(other))(np.array([0])).shape == (1, N_ITEMS)
