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
    options = {"query_dims": 12, "reads_users": True} | options
    return SearchModel(make_model(events), events, **options)


def test_the_tower_by_hand():
    tower = QueryTower(2)
    query, user = tf.constant([[1.0, 2.0], [1.0, 2.0]]), tf.constant([[10.0, 20.0]] * 2)
    given = {"query": query, "user": user, "known": tf.constant([True, False])}
    tower(given)
    tower.to_items.kernel.assign([[1.0, 0.0], [0.0, 3.0]])
    # Nothing of the user at the start: (1, 6).
    np.testing.assert_allclose(tower(given), [[1, 6], [1, 6]])
    # Then a.q + c = .5 + .5 + 1 = 2 times (10, 20), for the row with a user; for the other one
    # what nobody likes, (-1, 0).
    tower.share.kernel.assign([[0.5], [0.25]])
    tower.share.bias.assign([1.0])
    tower.nobody.assign([-1.0, 0.0])
    np.testing.assert_allclose(tower(given), [[21, 46], [0, 6]])


def test_the_tower_with_texts_by_hand():
    tower = QueryTower(1, texts=2)
    query = tf.constant([[0.6, 0.8], [0.6, 0.8]])
    given = {"query": query, "user": [[10.0], [10.0]], "known": tf.constant([True, False])}
    # At the start 15 times the query in the columns of the texts: (0, 9, 12).
    np.testing.assert_allclose(tower(given), [[0, 9, 12], [0, 9, 12]], rtol=1e-6)
    tower.scale.assign(10.0)
    tower.to_items.kernel.assign([[0.0, 1.0], [-1.0, 0.0]])
    tower.share.bias.assign([0.5])
    tower.nobody.assign([7.0])
    # 10 q = (6, 8), to which W adds (-.8, .6); half of the user's 10, and 7 of nobody.
    np.testing.assert_allclose(tower(given), [[5, 5.2, 8.6], [7, 5.2, 8.6]], rtol=1e-6)


def test_it_starts_by_the_texts_of_the_items(events, make_model):
    model = SearchModel(make_model(events), events, vectors="text")
    assert model.config.query_dims == 12
    text = events.catalogue.vectors["text"].values
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    queries = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    side = model.serving(State.of(events)).query_side
    found = side.queries(queries, tf.ones([3, model.recommender.vector_dim]), np.array([True] * 3))
    scores, rows = side.items.best(found, 40, None)
    cosines = queries @ text.T
    np.testing.assert_allclose(scores, -np.sort(-15 * cosines, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(rows[:, :5], np.argsort(-cosines, 1)[:, :5])
    np.testing.assert_allclose(side.items.scores_of(found, rows), scores, atol=1e-4)


def test_columns_of_items_are_those_of_the_recommender_and_their_texts(events, make_model):
    model = SearchModel(make_model(events), events, vectors="text", hidden=3, reads_users=True)
    for weight in model.query_tower.weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, [5, 6]))
    scorer = model.scorer(State.of(events))
    text = events.catalogue.vectors["text"].values
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    columns = np.concatenate([scorer.item_vectors.numpy(), text], 1)
    users = scorer.user_vectors(np.array([0, 3], np.int32))
    queries = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    known = np.array([True, False])
    expected = model.query_vectors(queries, users, known).numpy() @ columns.T
    side = model.serving(State.of(events)).query_side
    found = side.queries(queries, users, known)
    scores = side.items.scores_of(found, np.tile(np.arange(40), (2, 1)))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3)


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


def test_the_loss_with_texts_is_that_of_all_columns(events, searches, make_model):
    model = SearchModel(make_model(events), events, vectors="text", reads_users=False)
    batch = next(iter(search_examples(searches, events, 16, shuffle=False)))
    text = events.catalogue.vectors["text"].values
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    chosen = batch["item"].numpy()
    logits = 15 * batch["query_vector"].numpy() @ text[chosen].T - batch["log_q"].numpy()
    logits[(chosen[None] == chosen[:, None]) & ~np.eye(16, dtype=bool)] = -np.inf
    expected = np.mean(np.log(np.exp(logits - np.diag(logits)[:, None]).sum(1)))
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-4)


def test_training_hides_some_users(events, searches, make_model):
    """So that what nobody likes is learned too; the loss of a model in use hides none."""
    batch = next(iter(search_examples(searches, events, 64, shuffle=False)))
    losses = {}
    for rate in (0.0, 0.5):
        model = _model(events, make_model, user_dropout=rate)
        model.query_tower.to_items.kernel.assign(tf.zeros([12, model.recommender.vector_dim]))
        model.query_tower.share.bias.assign([3.0])
        losses[rate] = [float(model.compute_loss(batch, training)) for training in (False, True)]
    np.testing.assert_allclose(losses[0.0][1], losses[0.0][0], rtol=1e-5)
    np.testing.assert_allclose(losses[0.5][0], losses[0.0][0], rtol=1e-5)
    assert abs(losses[0.5][1] - losses[0.5][0]) > 1e-3


@pytest.mark.slow
def test_training_finds_which_words_mean_the_same(events, make_model):
    """Queries are the items' texts in other words; of items that training never saw too."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(5)
    text = events.catalogue.vectors["text"].values
    other = np.linalg.qr(rng.normal(size=(12, 12)))[0].astype(np.float32)
    item = np.repeat(np.arange(30), 40)
    frame = pd.DataFrame({"query": "q", "item_id": events.catalogue.vocabulary.ids[item]})
    frame["timestamp"] = 1.7e9
    asked = SearchEvents.from_frame(frame, events.catalogue, vectors=text[item] @ other)
    model = SearchModel(make_model(events), events, vectors="text")
    side = model.serving(State.of(events)).query_side
    users = tf.zeros([10, model.recommender.vector_dim])

    def found():
        queries = side.queries(text[30:] @ other, users, np.zeros(10, bool))
        return np.mean(side.items.best(queries, 1, None)[1].numpy()[:, 0] == np.arange(30, 40))

    before = found()
    batches = search_examples(asked, events, 64)
    model.compile(adam(0.3, steps=20 * len(batches)))
    model.fit(batches, epochs=20, verbose=0)
    assert before <= 0.1 and found() >= 0.3


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


@pytest.mark.parametrize("vectors", [None, "text"])
def test_it_is_saved_and_loaded(events, searches, make_model, vectors, tmp_path):
    model = _model(events, make_model, hidden=4, vectors=vectors)
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
    with pytest.raises(InputError, match=r"vectors: the catalogue has no 'image'. It has:"):
        SearchModel(model.recommender, events, vectors="image")
    with pytest.raises(InputError, match=r"query_dims must be that of .* 'text', 12. Received: 5"):
        SearchModel(model.recommender, events, vectors="text", query_dims=5)
    with pytest.raises(InputError, match=r"SearchModel: hidden: .* Received: -1"):
        SearchModel(model.recommender, query_dims=5, hidden=-1)
