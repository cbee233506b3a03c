import inspect

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export
from tfrec_fusion.features import State
from tfrec_fusion.models import CCL, AlphaRec, AlphaRecConfig

N_USERS, N_ITEMS = 60, 40


def _events(stores=1):
    """Users of two tastes that text tells apart. The last 4 items never occur, item 0 has no text
    and user u0 nothing but it."""
    rng = np.random.default_rng(0)
    user = rng.integers(1, N_USERS, 900)
    item = 2 * rng.integers(0, (N_ITEMS - 4) // 2, 900) + user % 2
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    frame = pd.concat([frame, pd.DataFrame({"user_id": ["u0"], "item_id": ["i0"]})])
    frame = frame.drop_duplicates()
    vectors = rng.normal(scale=0.5, size=(N_ITEMS, 6)).astype(np.float32)
    vectors[:, 0] += 6 * (np.arange(N_ITEMS) % 2) - 3
    vectors[0] = 0
    image = rng.normal(size=(N_ITEMS, 3)).astype(np.float32)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    catalogue = Catalogue(
        items, {"text": vectors, "image": image} if stores > 1 else {"text": vectors}
    )
    catalogue.vectors["text"].mask[0] = False
    return Interactions.from_frame(frame, catalogue)


@pytest.fixture(scope="module")
def events():
    return _events()


def _trained(events, epochs=15, **options):
    keras.utils.set_random_seed(0)
    model = AlphaRec(events, **({"dim": 8, "hidden": 16} | options))
    model.compile(keras.optimizers.Adam(0.02))
    batches = events.batches(128, examples="pairs", history=1)
    before = model.evaluate(batches, return_dict=True, verbose=0)["softmax_loss"]
    model.fit(batches, epochs=epochs, verbose=0)
    assert model.evaluate(batches, return_dict=True, verbose=0)["softmax_loss"] < before
    return model


@pytest.mark.parametrize(
    ("options", "stores"),
    [
        ({}, 1),
        pytest.param({"negatives": None, "whitening_dim": 4}, 2, marks=pytest.mark.slow),
        pytest.param(
            {"layers": 0, "vectors": ["image"], "whitening_dim": None}, 2, marks=pytest.mark.slow
        ),
    ],
    ids=["default", "two_stores", "no_layers"],
)
def test_trains_saves_and_loads_with_equal_scores(options, stores, tmp_path):
    events = _events(stores)
    model = _trained(events, 3, **options)
    users = np.array([0, 5, -1], np.int32)
    scores = model.scorer(State.of(events))(users)
    assert scores.shape == (3, N_ITEMS)
    assert np.abs(scores).max() <= 1 + 1e-6
    assert np.ptp(scores, axis=1).min() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), scores, rtol=1e-5, atol=1e-5)
    # The graph comes with the weights, so training can go on.
    batch = {"user": tf.range(5)}
    np.testing.assert_allclose(loaded(batch), model(batch), rtol=1e-5, atol=1e-5)


def test_learns_the_planted_taste_for_warm_and_cold_items(events):
    model = _trained(events)
    scores = model.scorer(State.of(events))(np.arange(N_USERS))
    parity = np.array([int(name[1:]) % 2 for name in events.users.ids])
    for items in (np.arange(1, N_ITEMS - 4), np.arange(N_ITEMS - 4, N_ITEMS)):
        own = np.where(items[None] % 2 == parity[:, None], scores[:, items], np.nan)
        other = np.where(items[None] % 2 != parity[:, None], scores[:, items], np.nan)
        assert (np.nanmean(own, 1) > np.nanmean(other, 1)).mean() > 0.9


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_scores_from_histories_are_those_of_the_graph(events, layers):
    """A dense NumPy LightGCN over the whole graph gives the same as users from their histories."""
    keras.utils.set_random_seed(0)
    model = AlphaRec(events, dim=8, hidden=16, layers=layers, whitening_dim=None)
    model.tower.first.bias.assign(np.linspace(-1, 1, 16))
    A = events.matrix().toarray()
    text = events.catalogue.vectors["text"]
    counts = A @ text.mask
    mean = (A @ text.values).sum(0) / counts.sum()
    content = np.where(counts[:, None] > 0, A @ text.values / np.maximum(counts, 1)[:, None], mean)

    def mlp(z):
        z = z @ model.tower.first.kernel.numpy() + model.tower.first.bias.numpy()
        z = np.where(z > 0, z, 0.01 * z)
        return z @ model.tower.second.kernel.numpy() + model.tower.second.bias.numpy()

    n = N_USERS + N_ITEMS
    adjacency = np.zeros((n, n))
    adjacency[:N_USERS, N_USERS:] = A
    adjacency += adjacency.T
    scale = 1 / np.sqrt(np.maximum(adjacency.sum(1), 1))
    adjacency = adjacency * scale[:, None] * scale[None]
    total = level = np.concatenate([mlp(content), mlp(text.values)])
    for _ in range(layers):
        level = adjacency @ level
        total = total + level
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    expected = total[:N_USERS] @ total[N_USERS:].T
    np.testing.assert_allclose(
        model.scorer(State.of(events))(np.arange(N_USERS)), expected, atol=1e-5
    )
    batch = {"user": tf.range(N_USERS)}
    np.testing.assert_allclose(model(batch), expected, atol=1e-5)


def test_the_loss_is_a_softmax_over_the_other_items(events):
    """With all items as negatives, the mean of log sum_j exp(s_uj / tau) - s_ui / tau."""
    keras.utils.set_random_seed(0)
    model = AlphaRec(events, dim=8, hidden=16, negatives=None, temperature=0.2)
    batch = {"user": tf.constant([1, 2]), "item": tf.constant([3, 4])}
    logits = model(batch).numpy() / 0.2
    expected = np.mean(
        [np.log(np.exp(logits[row]).sum()) - logits[row, item] for row, item in ((0, 3), (1, 4))]
    )
    assert model.compute_loss(batch).numpy() == pytest.approx(expected, rel=1e-5)


def test_another_loss_compares_the_pair_with_the_other_items(events):
    """With all items as negatives: 1 - cosine and 3 times the mean of what is above .2."""
    keras.utils.set_random_seed(0)
    model = AlphaRec(events, dim=8, hidden=16, negatives=None, temperature=1.0)
    model.compile("sgd", loss=CCL(margin=0.2, negative_weight=3.0))
    batch = {"user": tf.constant([1, 2]), "item": tf.constant([3, 4])}
    cosines, expected = model(batch).numpy(), []
    for row, item in ((0, 3), (1, 4)):
        others = np.delete(cosines[row], item)
        expected.append(1 - cosines[row, item] + 3 * np.maximum(others - 0.2, 0).mean())
    assert model.compute_loss(batch).numpy() == pytest.approx(np.mean(expected), rel=1e-5)


def test_users_that_came_later_are_scored_by_their_items(events):
    model = AlphaRec(events, dim=8, hidden=16)
    twin = events.encode_users(Vocabulary([f"new {u}" for u in range(3)]))
    assert (twin.user == -1).all()
    later = events.select(events.user == 5).encode_users(Vocabulary([events.users.ids[5]]))
    expected = model.scorer(State.of(events))(np.array([5]))
    np.testing.assert_allclose(model.scorer(State.of(later))(np.array([0])), expected, atol=1e-6)


@pytest.mark.slow
def test_an_export_scores_as_the_model_does(tmp_path, events):
    model = _trained(events, 1)
    served = tf.saved_model.load(str(export(model, events, tmp_path / "shop")))
    ids = events.catalogue.vocabulary.ids
    scores = served.signatures["score"](
        user_id=tf.constant([*events.users.ids, "nobody"]),
        item_id=tf.constant(np.tile(ids, (N_USERS + 1, 1))),
    )["score"]
    expected = model.scorer(State.of(events))(np.arange(-1, N_USERS))
    np.testing.assert_allclose(scores, np.roll(expected, -1, axis=0), atol=1e-5)
    # A history in the request stands for a user's own.
    own = ids[events.item[events.user == 5]]
    answers = [
        served.signatures["user_vector"](
            user_id=tf.constant([user]), history=tf.constant([history], tf.string)
        )["vector"]
        for user, history in ((events.users.ids[5], [""]), ("nobody", own))
    ]
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_config_defaults_are_the_documented_ones():
    documented = inspect.getdoc(AlphaRecConfig)
    assert all(f"{name}:" in documented for name in AlphaRecConfig.model_fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 8}, "AlphaRec: dims"),
        ({"layers": -1}, "AlphaRec: layers.*-1"),
        ({"temperature": 0}, "AlphaRec: temperature.*0"),
        ({"vectors": ["image"]}, "image"),
        ({"vectors": []}, "vectors: the model needs at least one"),
    ],
)
def test_bad_options(events, options, message):
    with pytest.raises(InputError, match=message) as error:
        AlphaRec(events, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options", [{"batch_size": 16}, {"batch_size": 16, "examples": "pairs", "negatives": 2}]
)
def test_examples_that_are_no_positive_pairs_are_refused(events, options):
    model = AlphaRec(events, dim=8)
    with pytest.raises(InputError, match="examples='pairs' and negatives=0"):
        model.compute_loss(next(iter(events.batches(**options))))


def test_another_catalogue_is_refused(events):
    other = Interactions.from_frame(
        pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}),
        Catalogue(pd.DataFrame({"item_id": ["a"]})),
    )
    with pytest.raises(InputError, match="items: the model was built for other items"):
        AlphaRec(events, dim=8).scorer(State.of(other))
