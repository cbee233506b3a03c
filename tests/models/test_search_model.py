"""A two-tower with a query tower: training, saving and what it serves."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import SearchEvents
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import joint_examples, search_examples
from tfrec_fusion.features import State
from tfrec_fusion.models import Model, QueryTower, SearchModel, TwoTower
from tfrec_fusion.optimizers import adam


@pytest.fixture(scope="module")
def searches(events):
    """Queries whose vectors are the items' texts with noise."""
    rng = np.random.default_rng(3)
    ids, users = events.catalogue.vocabulary.ids, events.users.ids
    item = rng.integers(0, len(ids), 400)
    frame = pd.DataFrame(
        {
            "query": [f"query {i}" for i in range(400)],
            "item_id": ids[item],
            "user_id": rng.choice([*users, ""], 400),
            "timestamp": 1.6e9 + rng.uniform(0, 300 * 86400, 400),
        }
    )
    text = events.catalogue.vectors["text"].values[item]
    noise = rng.normal(size=text.shape).astype(np.float32)
    return SearchEvents.from_frame(
        frame, events.catalogue, users=events.users, vectors=text + 0.3 * noise
    )


def _model(events, make_model, **options):
    return SearchModel(make_model(events), events, query_dims=12, **options)


def test_the_tower_by_hand():
    tower = QueryTower(2)
    query, user = tf.constant([[1.0, 2.0], [1.0, 2.0]]), tf.constant([[10.0, 20.0]] * 2)
    given = {"query": query, "user": user, "known": tf.constant([True, False])}
    tower(given)
    tower.to_items.kernel.assign([[1.0, 0.0], [0.0, 3.0]])
    # Nothing of the user at the start: (1, 6).
    np.testing.assert_allclose(tower(given), [[1, 6], [1, 6]])
    # Then a.q + c = .5 + .5 + 1 = 2 times (10, 20), for the row with a user.
    tower.share.kernel.assign([[0.5], [0.25]])
    tower.share.bias.assign([1.0])
    np.testing.assert_allclose(tower(given), [[21, 46], [1, 6]])


def test_it_starts_by_the_texts_of_the_items(events, make_model):
    recommender = make_model(events)
    text = events.catalogue.vectors["text"].values
    model = SearchModel(recommender, events, start=text)
    items = recommender.scorer(State.of(events)).item_vectors.numpy()
    penalty = np.trace(text.T @ text) / len(text) * np.eye(12)
    kernel = np.linalg.inv(text.T @ text + penalty) @ text.T @ items
    np.testing.assert_allclose(model.query_tower.to_items.kernel, kernel, atol=1e-4)
    with pytest.raises(InputError, match=r"start must be finite numbers \[40, 5\]"):
        SearchModel(recommender, events, start=text, query_dims=5)


def test_training_leaves_a_frozen_recommender_as_it_is(events, searches, make_model):
    model = _model(events, make_model)
    before = [weight.numpy() for weight in model.recommender.weights]
    model.compile(adam(3e-2, steps=60))
    batches = search_examples(searches, events, 64)
    loss = model.fit(batches, epochs=8, verbose=0).history["search_loss"]
    assert loss[-1] < 0.7 * loss[0]
    for weight, value in zip(model.recommender.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert isinstance(model, Model)
    users = np.arange(5, dtype=np.int32)
    state = State.of(events)
    np.testing.assert_array_equal(
        model.scorer(state)(users), model.recommender.scorer(state)(users)
    )


def test_the_loss_is_the_softmax_of_its_parts(events, searches, make_model):
    model = _model(events, make_model, reads_users=False)
    batch = next(iter(search_examples(searches, events, 16, shuffle=False)))
    items = model.recommender.scorer(State.of(events)).item_vectors.numpy()
    chosen = batch["item"].numpy()
    queries = batch["query_vector"].numpy() @ model.query_tower.to_items.kernel.numpy()
    logits = queries @ items[chosen].T - batch["log_q"].numpy()
    other = (chosen[None] == chosen[:, None]) & ~np.eye(16, dtype=bool)
    logits[other] = -np.inf
    own = np.diag(logits)
    expected = np.mean(np.log(np.exp(logits - own[:, None]).sum(1)))
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-4)


@pytest.mark.slow
def test_joint_training_changes_both_and_learns_to_search(events, searches):
    keras.utils.set_random_seed(1)
    recommender = TwoTower(events, dim=8, trend=False)
    model = SearchModel(recommender, events, query_dims=12, frozen=False, search_weight=0.5)
    before = recommender.tower.ids.table.numpy()
    interactions = events.batches(16, examples="pairs", history=5)
    batches = joint_examples(interactions, search_examples(searches, events, 64))
    assert int(batches.cardinality()) == int(interactions.cardinality())
    model.compile(adam(1e-2, steps=20 * len(batches)))
    history = model.fit(batches, epochs=8, verbose=0).history
    assert history["search_loss"][-1] < 0.8 * history["search_loss"][0]
    assert history["softmax_loss"][-1] < history["softmax_loss"][0]
    assert (recommender.tower.ids.table.numpy() != before).any()


def test_the_joint_loss_is_the_weighted_sum(events, searches):
    recommender = TwoTower(events, dim=8, trend=False, id_dropout=0.0)
    model = SearchModel(recommender, events, query_dims=12, frozen=False, search_weight=0.5)
    interactions = events.batches(16, examples="pairs", history=5)
    batch = next(iter(joint_examples(interactions, search_examples(searches, events, 64))))
    ours = {name: value for name, value in batch.items() if not name.startswith("search_")}
    theirs = {n.removeprefix("search_"): v for n, v in batch.items() if n.startswith("search_")}
    expected = recommender.compute_loss(ours) + 0.5 * model.compute_loss(theirs)
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-5)


def test_it_is_saved_and_loaded(events, searches, make_model, tmp_path):
    model = _model(events, make_model, hidden=4)
    for weight in model.query_tower.weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, [1, 2]))
    batch = next(iter(search_examples(searches, events, 16)))
    expected = model.compute_loss(batch).numpy()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again, SearchModel) and again.config == model.config
    np.testing.assert_allclose(again.compute_loss(batch), expected, rtol=1e-6)
    again.check(events)


def test_what_is_refused(events, searches, make_model):
    model = _model(events, make_model)
    examples = search_examples(searches, events, 16)
    with pytest.raises(InputError, match="no 'query_vector'; pass batches of search_examples"):
        model.fit(events.batches(16))
    wide = SearchModel(model.recommender, query_dims=5)
    with pytest.raises(InputError, match=r"'query_vector' has 12 columns.*query_dims=5"):
        wide.fit(examples)
    with pytest.raises(InputError, match="train the recommender, which is frozen"):
        model.fit(joint_examples(events.batches(16), examples))
    with pytest.raises(InputError, match="recommender must be a TwoTower"):
        SearchModel(model, query_dims=5)
    with pytest.raises(InputError, match=r"SearchModel: hidden: .* Received: -1"):
        SearchModel(model.recommender, query_dims=5, hidden=-1)
