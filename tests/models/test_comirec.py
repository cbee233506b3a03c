"""Users with several vectors, of which the best one counts."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.features import State
from tfrec_fusion.models import CatalogueSoftmax, ComiRec, SearchModel, Targets, TwoTower
from tfrec_fusion.models.interests import best_interest
from tfrec_fusion.models.objectives.own_interests import own_interests
from tfrec_fusion.training import Run

DAY = 86_400
N_USERS, N_ITEMS = 15, 12


def _pairs(*pairs):
    return tf.reshape(tf.constant(pairs, tf.int32), [-1, 2])


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    rows = pd.DataFrame({"user_id": np.repeat([f"u{u}" for u in range(N_USERS)], 6)})
    rows["item_id"] = [f"i{i}" for _ in range(N_USERS) for i in rng.permutation(N_ITEMS)[:6]]
    rows["timestamp"] = 1.6e9 + DAY * rng.uniform(0, 300, len(rows))
    text = rng.normal(size=(N_ITEMS, 5)).astype(np.float32)
    return Interactions.from_frame(rows, Catalogue(items, {"text": text}))


def _model(events, noise=0.5, **options):
    keras.utils.set_random_seed(0)
    tower = {"user": "comirec", "user_options": {"interests": 3, "max_len": 5}}
    model = TwoTower(events, **({"dim": 4, "id_dropout": 0.0, "id_l2": 0.0} | tower | options))
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=noise, size=weight.shape).astype(np.float32))
    return model


def test_the_tower_by_hand():
    tower = ComiRec(dim=2, interests=2, hidden=1, max_len=3)
    users = {
        "user": tf.zeros([1], tf.int32),
        "history_vector": tf.constant([[1.0, 0.0], [0.0, 1.0]]),
        "history_row": tf.zeros([2], tf.int32),
        "history_age": tf.zeros([2]),
    }
    tower(users)
    tower.position.table.assign([[0.0, 1.0], [0.0, 0.0], [9.0, 9.0]])  # the last place is first
    tower.to_hidden.set_weights([np.array([[1.0], [1.0]])])
    tower.to_interests.set_weights([np.array([[0.0, 5.0]])])
    # Hidden: tanh(1) = .7616 of the first event and tanh(2) = .9640 of the second. Interest 0 is
    # their mean, interest 1 has the shares softmax(5 * .7616, 5 * .9640) = (.2665, .7335).
    expected = [[0.5, 0.5], [0.2665, 0.7335]]
    np.testing.assert_allclose(tower(users)[0], expected, atol=1e-4)
    # After the first event there is nothing else.
    np.testing.assert_allclose(tower.positions(users)[0], [[1, 0], [1, 0]], atol=1e-6)
    one = ComiRec(dim=2, interests=1)
    assert one(users).shape == [1, 2] and one.positions(users).shape == [2, 2]
    for value in (2.5, "4", True):
        with pytest.raises(ValueError, match=rf"whole number of 1 or more\. Received: {value!r}"):
            ComiRec(interests=value)
    with pytest.raises(ValueError, match=r"interests must be a whole number.*Received: 0"):
        ComiRec(interests=0)


def test_the_best_interest():
    users = tf.constant([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -1.0]]])
    items = tf.constant([[1.0, 3.0], [-1.0, 0.0], [2.0, 1.0]])
    found = best_interest(users, lambda one: tf.matmul(one, items, transpose_b=True))
    # max(1, 3), max(-1, 0), max(2, 1); max(2, -3), max(-2, 0), max(4, -1)
    np.testing.assert_array_equal(found, [[3, 0, 2], [2, 0, 4]])


def test_targets_go_to_the_interest_that_scores_them_highest():
    users = tf.constant([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0]] * 2])
    items = tf.constant([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.0, 0.0]])
    targets = Targets(_pairs([0, 0], [0, 1], [0, 2], [1, 1]), _pairs([0, 3], [1, 0]), None, None, 4)
    vectors, own, weight = own_interests(users, items, targets, tf.constant([3.0, 6.0, 9.0]))
    # User 0: items 0 and 2 for interest 0, item 1 for interest 1; user 1: interest 1 alone.
    np.testing.assert_array_equal(vectors, [[1, 0], [0, 1], [0, 1]])
    np.testing.assert_array_equal(own.target, [[0, 0], [0, 2], [1, 1], [2, 1]])
    # The targets of the other interest are masked, beside what was.
    assert sorted(map(tuple, own.masked.numpy())) == [
        (0, 1),
        (0, 3),
        (1, 0),
        (1, 2),
        (1, 3),
        (2, 0),
    ]
    assert (np.diff(own.masked[:, 0]) >= 0).all()
    # 2 of 3 and 1 of 3 targets times 3, then 6, as a mean over 3 users; user 2 has no target.
    np.testing.assert_allclose(weight / 3, [2 / 3, 1 / 3, 2], rtol=1e-6)


@pytest.mark.parametrize("kind", ["as_of", "held_out", "pairs", "sequence"])
def test_the_loss_is_the_softmax_of_the_best_interest_of_each_target(events, kind):
    """In loops, with the model's vectors; of one target a row, other targets are not masked."""
    model = _model(events, trend=kind == "as_of")
    model.compile(loss=CatalogueSoftmax())
    options = {"candidates": None} if kind != "pairs" else {"history": 5}
    batch = next(iter(events.batches(8, examples=kind, **options)))
    found = model.compute_loss(batch).numpy()
    state = State.of(events)
    fused = model.tower(tf.range(N_ITEMS), batch.get("is_warm", state.seen))
    features = batch.get("item_features", tf.zeros([N_ITEMS, 0]))
    items = model.item_side(fused, tf.range(N_ITEMS), features, batch.get("is_warm", state.seen))
    losses = []
    weights = batch["weight"].numpy() if "weight" in batch else np.ones(len(batch["user"]))
    if kind == "sequence":
        flat = batch["history_item"], batch["history_row"], batch["history_age"]
        users = model.position_vectors(batch["user"], tf.gather(fused, flat[0]), *flat)
        for place, item in batch["next"].numpy():
            scores = items.numpy() @ users[place].numpy().T
            scores = scores[:, scores[item].argmax()]
            losses.append(np.log(np.exp(scores).sum()) - scores[item])
        expected = np.mean(losses * weights[: len(losses)])
    elif kind == "pairs":
        place = tf.where(batch["history"] >= 0)
        past = tf.gather_nd(batch["history"], place)
        ages = tf.gather_nd(batch["history_age"], place)
        rows = tf.cast(place[:, 0], tf.int32)
        users = model.user_vectors(batch["user"], tf.gather(fused, past), past, rows, ages)
        log_q = batch["log_q"].numpy() if "log_q" in batch else model.item_log_share.numpy()
        own = batch["item"].numpy()
        for row, item in enumerate(own):
            scores = items.numpy() @ users[row].numpy().T
            scores = scores[:, scores[item].argmax()] - log_q
            others = [other for other in own if other != item]
            total = np.exp(scores[item]) + np.exp(scores[others]).sum()
            losses.append(np.log(total) - scores[item])
        expected = np.mean(losses * weights)
    else:
        flat = batch["history_item"], batch["history_row"], batch["history_age"]
        users = model.user_vectors(batch["user"], tf.gather(fused, flat[0]), *flat)
        targets = batch["target"].numpy()
        masked = {tuple(pair) for pair in batch["masked"].numpy()}
        for row in range(len(batch["user"])):
            own = [item for r, item in targets if r == row]
            scores = items.numpy() @ users[row].numpy().T
            best = scores[own].argmax(1)
            of_row = []
            for item, k in zip(own, best, strict=True):
                other = [i for i, kk in zip(own, best, strict=True) if kk != k]
                kept = [i for i in range(N_ITEMS) if (row, i) not in masked and i not in other]
                of_row.append(np.log(np.exp(scores[kept, k]).sum()) - scores[item, k])
            losses.append(np.mean(of_row) * weights[row])
        expected = np.mean(losses)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_only_the_chosen_interest_has_a_gradient(events):
    users = tf.Variable(np.random.default_rng(0).normal(size=(2, 3, 4)), dtype=tf.float32)
    items = tf.Variable(np.random.default_rng(1).normal(size=(6, 4)), dtype=tf.float32)
    targets = Targets(_pairs([0, 1], [1, 5]), _pairs())
    with tf.GradientTape() as tape:
        vectors, own, weight = own_interests(users, items, targets, None)
        scores = tf.matmul(vectors, items, transpose_b=True)
        loss = CatalogueSoftmax()(own, scores, weight)
    gradient = tape.gradient(loss, users)
    gradient = tf.convert_to_tensor(gradient).numpy()
    best = np.einsum("bkd,bd->bk", users.numpy(), items.numpy()[[1, 5]]).argmax(1)
    for user in range(2):
        assert [bool(gradient[user, k].any()) for k in range(3)] == [
            k == best[user] for k in range(3)
        ]


def test_scores_are_the_largest_over_the_interests(events):
    model, state = _model(events), State.of(events)
    scores = model.scorer(state)(np.arange(4))
    items = model.item_vectors(tf.range(N_ITEMS), *_features(model, state)).numpy()
    history, rows, ages = state.flat_histories(np.arange(4, dtype=np.int32))
    vectors = items[history, :4]
    users = model.user_vectors(tf.range(4), vectors, history, rows, ages)
    assert users.shape == [4, 3, items.shape[1]]
    np.testing.assert_allclose(scores, np.einsum("bkd,nd->bkn", users, items).max(1), rtol=1e-4)
    assert not hasattr(model.scorer(state), "item_vectors")


def _features(model, state):
    return state.item_features(model.spec)[0], state.seen


def test_shares_of_a_score_sum_to_it(events):
    model = _model(events)
    frame = explain(model, events, "u1", ["i3", "i4", "i7"])
    total = frame[["id", "text", "context", "bias"]].sum(axis=1)
    np.testing.assert_allclose(total, frame["score"], rtol=1e-4, atol=1e-5)
    rows = events.users.rows(["u1"]).astype(np.int32)
    items = events.catalogue.vocabulary.rows(["i3", "i4", "i7"])
    np.testing.assert_allclose(
        frame["score"], model.scorer(State.of(events))(rows)[0, items], rtol=1e-4
    )


def test_saved_and_loaded(events, tmp_path):
    model = _model(events)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    users, state = np.arange(5), State.of(events)
    np.testing.assert_allclose(loaded.scorer(state)(users), model.scorer(state)(users), rtol=1e-5)
    assert loaded.user_tower.interests == 3


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
@pytest.mark.parametrize("half", [False, True])
def test_two_tastes_are_two_interests(loss, half):
    """Each user likes two of six groups, one item of either at a time; the others are no negatives.

    One vector must point between both groups; two vectors rank all items of both before others.
    """
    rng = np.random.default_rng(0)
    group = np.arange(36) % 6
    rows = []
    for user in range(200):
        first, second = rng.choice(6, 2, replace=False)
        items = np.concatenate(
            [rng.permutation(np.flatnonzero(group == g))[:5] for g in (first, second)]
        )
        rows += [(f"u{user}", f"i{item}", DAY * t) for t, item in enumerate(rng.permutation(items))]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] += 1.6e9
    text = (np.eye(6)[group] + 0.1 * rng.normal(size=(36, 6))).astype(np.float32)
    items = pd.DataFrame({"item_id": [f"i{item}" for item in range(36)]})
    events = Interactions.from_frame(frame, Catalogue(items, {"text": text}))
    keras.utils.set_random_seed(0)
    tower = ComiRec(interests=2)
    model = TwoTower(events, dim=8, trend=False, user=tower, mixed_precision=half)
    model.compile(keras.optimizers.Adam(0.02), loss=loss)
    model.fit(events.batches(32, examples="sequence"), epochs=10, verbose=0)
    scores = model.scorer(State.of(events))(np.arange(200))
    taken = events.matrix().toarray() > 0
    both = np.array(
        [
            [any(group[i] == group[j] for j in np.flatnonzero(row)) for i in range(36)]
            for row in taken
        ]
    )
    left = np.where(both & ~taken, scores, np.nan)
    others = np.where(both, np.nan, scores)
    # Both items that are left, one of either group, before nearly all others.
    ranks = (others[:, None] > left[:, :, None]).sum(2)[~np.isnan(left)]
    assert (ranks == 0).mean() > 0.8


@pytest.mark.slow
def test_a_run(config, tmp_path):
    values = {"user": "comirec", "dim": 8, "user_options": {"max_len": 7, "interests": 2}}
    made = config(model={"kind": "two_tower", **values}, split={"kind": "leave_one_out"}, epochs=2)
    run = Run.start(tmp_path / "run", made)
    run.train()
    model = run.model()
    assert isinstance(model.user_tower, ComiRec) and model.interests == 2
    assert run.metrics()["evaluation"]


def test_what_is_refused(events):
    with pytest.raises(InputError, match=r"ComiRec has 3 vectors for a user, and distillation"):
        _model(events, distillation=0.1)
    with pytest.raises(InputError, match=r"takes max_len, interests, hidden.*'interest'"):
        _model(events, user_options={"interest": 3})
    with pytest.raises(InputError, match=r"interests must be a whole number.*Received: 0"):
        _model(events, user_options={"interests": 0})
    model = _model(events)
    with pytest.raises(InputError, match=r"loss: 'cold': distillation compares the scores of one"):
        model.compile(loss={"a": "softmax", "cold": "distillation"})
    with pytest.raises(InputError, match=r"one vector for a user, whose score is one dot product"):
        SearchModel(model, query_dims=4)
    model.compile()
    with pytest.raises(InputError, match=r"ComiRec cannot subtract an item's own contribution"):
        model.fit(events.batches(8, examples="autoencoder"))
