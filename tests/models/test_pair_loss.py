"""TwoTower on user-item pairs."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models import HardNegatives, TwoTower
from tfrec_fusion.models.objectives.pairs import log_shares
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 60, 40


def _events(times=True):
    """Users of two tastes: those with odd numbers take odd items. The last 4 items never occur."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, N_USERS, 1500)
    item = 2 * rng.integers(0, (N_ITEMS - 4) // 2, 1500) + user % 2
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item]})
    if times:
        frame["timestamp"] = rng.integers(0, 200 * int(DAY), 1500)
    vectors = rng.normal(size=(N_ITEMS, 6)).astype(np.float32)
    vectors[:, 0] += 6 * (np.arange(N_ITEMS) % 2) - 3
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    frame = frame if times else frame.drop_duplicates()
    return Interactions.from_frame(frame, Catalogue(items, {"text": vectors}))


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture
def seeded():
    keras.utils.set_random_seed(0)


def _pairs(events, batch_size=128, **options):
    return events.batches(batch_size, examples="pairs", history=8, **options)


@pytest.mark.parametrize(
    ("user", "times"),
    [
        ("both", False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("id", True),
                ("history", True),
                ("both", True),
                ("id", False),
                ("history", False),
            )
        ),
    ],
)
def test_learns_the_planted_taste_and_comes_back_equal(user, times, seeded, tmp_path):
    events = _events(times)
    model = TwoTower(events, dim=8, user=user, trend=False)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(_pairs(events), epochs=15, verbose=0)
    users = np.arange(N_USERS)
    scores = model.scorer(State.of(events))(users)
    odd = np.array([int(name[1:]) % 2 for name in events.users.ids])
    # The last four items are cold: user ids alone are no worse at them, as text is shared.
    for items in (np.arange(N_ITEMS - 4), np.arange(N_ITEMS - 4, N_ITEMS)):
        own = np.where(items % 2 == odd[:, None], scores[:, items], np.nan)
        other = np.where(items % 2 != odd[:, None], scores[:, items], np.nan)
        assert (np.nanmean(own, 1) > np.nanmean(other, 1)).mean() > 0.95
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.scorer(State.of(events))(users), scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(loaded.item_log_share, log_shares(events))


@pytest.mark.parametrize(
    "loss",
    [
        "bpr",
        *(
            pytest.param(loss, marks=pytest.mark.slow)
            for loss in ("refined_softmax", "bce", "gbce", "hinge", "ccl")
        ),
        pytest.param(HardNegatives("softmax", k=8, skip=1), id="hard", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("queue", [0, pytest.param(64, marks=pytest.mark.slow)])
def test_every_loss_learns_the_planted_taste(loss, queue, events, seeded):
    model = TwoTower(events, dim=8, trend=False, queue=queue)
    model.compile(keras.optimizers.Adam(0.02), loss=loss)
    model.fit(_pairs(events), epochs=15, verbose=0)
    scores = model.scorer(State.of(events))(np.arange(N_USERS))[:, : N_ITEMS - 4]
    odd = np.array([int(name[1:]) % 2 for name in events.users.ids])
    likes = np.arange(N_ITEMS - 4) % 2 == odd[:, None]
    own, other = (np.where(kept, scores, np.nan) for kept in (likes, ~likes))
    assert (np.nanmean(own, 1) > np.nanmean(other, 1)).mean() > 0.95


def test_items_of_earlier_batches_are_negatives_in_training(events):
    """Ids alone, whose vectors are numbers; no item is more frequent than another."""
    model = TwoTower(
        events, dim=1, user="id", vectors=[], trend=False, id_l2=0.0, id_dropout=0.0, queue=2
    )
    users, items = np.zeros((N_USERS, 1), np.float32), np.zeros((N_ITEMS, 1), np.float32)
    users[:3], items[:4] = [[1], [2], [-1]], np.log([[1.0], [2.0], [3.0], [5.0]])
    model.user_tower.ids.table.assign(users)
    model.tower.ids.table.assign(items)

    def loss(user, item, **options):
        batch = {"user": tf.constant(user), "item": tf.constant(item)}
        return model.compute_loss(batch | {"log_q": tf.zeros([len(user)])}, **options)

    # Scores of the items 1 to 3 are log 2, log 3 and log 5; the user with -1 has the inverse.
    np.testing.assert_allclose(loss([0, 0], [1, 2], training=True), np.log([5 / 2, 5 / 3]).mean())
    # In the second batch items 1 and 2 are further negatives, but no second time for itself.
    expected = np.log([(2 + 3 + 5) / 5, (1 / 2 + 1 / 3 + 1 / 5) / (1 / 2)]).mean()
    np.testing.assert_allclose(loss([0, 2], [3, 1]), np.log([7 / 5, 0.7 / 0.5]).mean(), rtol=1e-5)
    np.testing.assert_allclose(loss([0, 2], [3, 1], training=True), expected, rtol=1e-5)
    assert sorted(model.queue.rows.numpy()) == [1, 3]


def test_a_queue_is_for_pairs(events):
    model = TwoTower(events, dim=2, queue=2)
    with pytest.raises(InputError, match=r"queue adds .* pass queue=0, .* Received: \["):
        model.compute_loss(next(iter(events.batches(16))))


def test_the_loss_of_three_pairs_by_hand(events):
    model = TwoTower(events, dim=2, user="id", vectors=[], trend=False, id_l2=0.0)
    users, items = np.zeros((N_USERS, 2), np.float32), np.zeros((N_ITEMS, 2), np.float32)
    users[[4, 5]], items[[1, 2]] = [[1, 0], [0, 1]], [[np.log(2), 0], [0, np.log(3)]]
    model.user_tower.ids.table.assign(users)
    model.tower.ids.table.assign(items)
    bias = np.zeros(N_ITEMS, np.float32)
    bias[2] = np.log(5)
    model.bias.assign(bias)
    batch = {
        "user": tf.constant([4, 5, 5]),
        "item": tf.constant([1, 2, 1]),
        "weight": tf.constant([1.0, 2.0, 3.0]),
        "log_q": tf.math.log([0.5, 0.25, 0.5]),
    }
    # exp of the scores over q. User 4: item 1 has 2 / .5 = 4, item 2 has 5 / .25 = 20.
    # User 5: item 1 has 1 / .5 = 2, item 2 has 3 * 5 / .25 = 60.
    # Pairs 0 and 2 share item 1, which is a candidate once for each of them, and twice for pair 1.
    losses = np.log([(4 + 20) / 4, (60 + 2 + 2) / 60, (2 + 60) / 2])
    expected = (1 * losses[0] + 2 * losses[1] + 3 * losses[2]) / 3
    np.testing.assert_allclose(model.compute_loss(batch), expected, rtol=1e-6)
    # By default q is the share of the events: that of items 1 and 2.
    counts = np.bincount(events.item, minlength=N_ITEMS)
    q1, q2 = counts[1] / 1500, counts[2] / 1500
    losses = np.log(
        [
            1 + (5 / q2) / (2 / q1),
            1 + 2 * (1 / q1) / (15 / q2),
            1 + (15 / q2) / (1 / q1),
        ]
    )
    del batch["log_q"], batch["weight"]
    np.testing.assert_allclose(model.compute_loss(batch), losses.mean(), rtol=1e-5)


def test_an_item_without_events_has_the_share_of_one(events):
    shares = log_shares(events)
    counts = np.bincount(events.item, minlength=N_ITEMS)
    assert (counts[-4:] == 0).all()
    np.testing.assert_allclose(np.exp(shares), np.maximum(counts, 1) / 1500, rtol=1e-6)


@pytest.mark.parametrize("user", ["id", "both"])
def test_tables_are_only_gathered_from(events, user):
    model = TwoTower(events, dim=8, user=user, trend=False)
    batch = next(iter(_pairs(events, 16)))
    tables = {
        "user": model.user_tower.ids.table,
        "item": model.tower.ids.table,
        "bias": model.bias,
    }

    @tf.function
    def gradients(batch):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch, training=True)
        return tape.gradient(loss, tables)

    found = gradients(batch)
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient in found.values())
    assert set(found["user"].indices.numpy()) == set(batch["user"].numpy())
    items = set(batch["item"].numpy())
    if user == "both":
        items |= set(batch["history"].numpy().ravel()) - {-1}
    assert set(found["item"].indices.numpy()) == items
    # Nor is any of them, or the frozen matrix, read as a whole.
    graph = gradients.get_concrete_function(batch).graph
    large = [*tables.values(), model.tower.frozen["text"].matrix, model.item_log_share]
    handles = {id(inner): outer for outer, inner in graph.captures}
    read = [
        handles[id(op.inputs[0])]
        for op in graph.get_operations()
        if op.type == "ReadVariableOp" and id(op.inputs[0]) in handles
    ]
    assert read
    assert not any(handle is table.handle for handle in read for table in large)


def test_l2_falls_on_the_touched_ids_once(events):
    plain = TwoTower(events, dim=4, user="id", trend=False, id_dropout=0.0, id_l2=0.0)
    decayed = TwoTower(events, dim=4, user="id", trend=False, id_dropout=0.0, id_l2=0.5)
    decayed.set_weights(plain.get_weights())
    batch = {"user": tf.constant([0, 1, 2]), "item": tf.constant([3, 7, 3])}
    touched = tf.gather(plain.tower.ids.table, [3, 7]).numpy()
    np.testing.assert_allclose(
        decayed.compute_loss(batch, training=True),
        plain.compute_loss(batch, training=True) + 0.5 * (touched**2).sum() / 2,
        rtol=1e-5,
    )


def test_a_history_is_what_as_of_examples_say_it_is(events):
    model = TwoTower(events, dim=4, trend=False, id_l2=0.0)
    pairs = {
        "user": tf.constant([0, 1]),
        "item": tf.constant([3, 9]),
        "history": tf.constant([[-1, 5, 6], [-1, -1, -1]]),
        "history_age": tf.constant([[0.0, 30.0, 2.0], [0.0, 0.0, 0.0]]),
        "log_q": tf.zeros([2]),
    }
    as_of = {
        "user": pairs["user"],
        "candidate": pairs["item"],
        "history_item": tf.constant([5, 6]),
        "history_row": tf.constant([0, 0]),
        "history_age": tf.constant([30.0, 2.0]),
        "item_features": tf.zeros([2, 0]),
        "is_warm": tf.ones([2], tf.bool),
    }
    logits = model(as_of)
    expected = tf.reduce_mean(tf.reduce_logsumexp(logits, 1) - tf.linalg.diag_part(logits))
    np.testing.assert_allclose(model.compute_loss(pairs), expected, rtol=1e-5)


def test_mixed_precision_multiplies_in_bfloat16(events, seeded):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = TwoTower(events, dim=8, trend=False)
        model.compile(keras.optimizers.Adam(0.02))
        history = model.fit(_pairs(events), epochs=3, verbose=0).history["softmax_loss"]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.objective_for({}).matmul_dtype == "bfloat16"
    assert history[-1] < history[0]


def test_a_batch_of_one_pair_is_no_trouble(events):
    model = TwoTower(events, dim=4, user="id", trend=False, id_l2=0.0)
    batch = {"user": tf.constant([-1]), "item": tf.constant([-1])}
    assert model.compute_loss(batch, training=True) == 0.0


@pytest.mark.parametrize(
    ("options", "batch_options", "message"),
    [
        ({}, {}, "no 'item_features'.*pass trend=False"),
        ({"trend": False}, {"negatives": 1}, "a 'label'.*pass negatives=0"),
    ],
)
def test_pairs_that_cannot_be_trained_on(events, options, batch_options, message):
    model = TwoTower(events, dim=4, **options)
    with pytest.raises(InputError, match=message) as error:
        model.compute_loss(next(iter(_pairs(events, 16, **batch_options))))
    assert "\n" not in str(error.value)


def test_a_missing_history(events):
    model = TwoTower(events, dim=4, trend=False)
    batch = {"user": tf.constant([0]), "item": tf.constant([0])}
    with pytest.raises(InputError, match="no 'history', which user='history' reads"):
        model.compute_loss(batch)
