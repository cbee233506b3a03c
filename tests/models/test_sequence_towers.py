import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models import USER_TOWERS, SASRec, SequenceTower, TwoTower
from tfrec_fusion.training import Run

TOWERS = [name for name in USER_TOWERS if issubclass(USER_TOWERS.class_of(name), SequenceTower)]
DAY = 86_400


def _users(histories, ages=None, n_users=None):
    """What a tower reads of histories, lists of vectors of 4 columns, the oldest first."""
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    vectors = np.array([vector for history in histories for vector in history], np.float32)
    count = len(rows)
    return {
        "user": tf.zeros([n_users or len(histories)], tf.int32),
        "history_vector": tf.constant(vectors.reshape(count, 4)),
        "history_item": tf.zeros([count], tf.int32),
        "history_row": tf.constant(rows, tf.int32),
        "history_age": tf.constant(
            np.zeros(count) if ages is None else np.concatenate(ages), tf.float32
        ),
        "history_size": tf.zeros([len(histories), 2]),
    }


@pytest.fixture(scope="module", params=TOWERS)
def tower(request):
    """A tower of up to 6 events, with noise on its weights, as some start at zero or one."""
    keras.utils.set_random_seed(0)
    made = USER_TOWERS.class_of(request.param)(4, 5, 7, max_len=6)
    made(_users([np.ones((2, 4))]))
    for weight in made.trainable_weights:
        weight.assign_add(tf.random.normal(weight.shape) / 5)
    return made


def _history(rng, length):
    return rng.normal(size=(length, 4)), np.sort(rng.random(length) * 90)[::-1]


def test_a_position_does_not_depend_on_later_events(tower):
    rng = np.random.default_rng(0)
    vectors, ages = _history(rng, 6)
    before = tower.positions(_users([vectors], [ages])).numpy()
    for place in range(1, 6):
        changed, when = vectors.copy(), ages.copy()
        changed[place:] += rng.normal(size=changed[place:].shape)
        # HSTU reads when the event after a position was, but not what it was.
        when[place + 1 :] /= 2
        after = tower.positions(_users([changed], [when])).numpy()
        np.testing.assert_allclose(after[:place], before[:place], rtol=1e-4, atol=1e-5)
        assert np.abs(after[place:] - before[place:]).max() > 1e-3


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_a_user_does_not_depend_on_the_others_in_a_batch(tower, lengths, seed):
    rng = np.random.default_rng(seed)
    found = [_history(rng, length) for length in lengths]
    vectors, ages = zip(*found, strict=True)
    together = tower(_users(vectors, ages)).numpy()
    alone = [tower(_users([one], [age])).numpy()[0] for one, age in found]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    # Only the last 6 events count, and without any the vector is 0.
    cut = tower(_users([one[-6:] for one in vectors], [age[-6:] for age in ages])).numpy()
    np.testing.assert_allclose(together, cut, rtol=1e-4, atol=1e-5)
    empty = np.array(lengths) == 0
    assert not together[empty].any() and np.abs(together[~empty]).min(initial=1.0) > 0


def test_the_last_position_is_the_user(tower):
    vectors, ages = zip(*(_history(np.random.default_rng(n), n) for n in (3, 6, 1)), strict=True)
    users = _users(vectors, ages)
    positions, last = tower.positions(users).numpy(), tower(users).numpy()
    np.testing.assert_allclose(positions[[2, 8, 9]], last, rtol=1e-5, atol=1e-6)


def test_sequences_longer_than_the_tower_reads_are_refused(tower):
    vectors, ages = _history(np.random.default_rng(0), 7)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pass max_len=6 to batches"):
        tower.positions(_users([vectors], [ages]))


def test_the_order_counts(tower):
    vectors, ages = _history(np.random.default_rng(1), 5)
    one, other = (tower(_users([v], [ages])).numpy() for v in (vectors, vectors[::-1]))
    assert np.abs(one - other).max() > 1e-3


def test_decayed_history_by_hand():
    # Weights .5, .25 ... at the start: of v = 1, 2, 4 the vector is 4 + .5 * 2 + .25 * 1 = 5.25.
    tower = USER_TOWERS.class_of("decayed_history")(4, decay=0.5)
    history = np.outer([1, 2, 4], np.ones(4))
    np.testing.assert_allclose(tower(_users([history])), np.full((1, 4), 5.25), rtol=1e-6)


def test_caser_takes_the_strongest_window_and_sums():
    tower = USER_TOWERS.class_of("caser")(4, window=2, horizontal=1, vertical=1)
    history = np.outer([1, 3], np.ones(4))
    tower(_users([history]))
    first, second = tower.filters  # of heights 1 and 2: sums of the vectors' first columns
    first.set_weights([np.eye(4)[:, :1], np.zeros(1)])
    second.set_weights([np.eye(8)[:, [0]] + np.eye(8)[:, [4]], np.zeros(1)])
    tower.vertical.set_weights([np.array([[10.0], [1.0]])])
    kernel = np.zeros((6, 4))
    kernel[0, 0] = kernel[1, 1] = kernel[2, 2] = 1
    tower.output_map.set_weights([kernel, np.zeros(4)])
    # max(1, 3), 1 + 3 and 10 * 1 + 3.
    np.testing.assert_allclose(tower(_users([history])), [[3, 4, 13, 0]], rtol=1e-6)


@pytest.fixture(scope="module")
def split():
    """Users who go round a ring of 12 items, from a place of their own."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{(start + step) % 12}", 1.6e9 + DAY * step)
        for user, (start, length) in enumerate(rng.integers([0, 4], [12, 9], (300, 2)))
        for step in range(length)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    text = rng.normal(size=(12, 8)).astype(np.float32)
    items = pd.DataFrame({"item_id": [f"i{item}" for item in range(12)]})
    return Interactions.from_frame(frame, Catalogue(items, {"text": text})).split("leave_one_out")


@pytest.mark.parametrize(
    "name",
    [name if name == "sasrec" else pytest.param(name, marks=pytest.mark.slow) for name in TOWERS],
)
def test_the_next_item_is_learned(split, name):
    keras.utils.set_random_seed(0)
    model = TwoTower(split.train, dim=16, trend=False, user=name)
    batches = split.train.batches(32, examples="sequence")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(batches, epochs=15, verbose=0)
    found = evaluate(model, split, bootstrap=0, progress=False).metrics["total"]
    # The next item of the ring is certain; a model without order finds one of several. ComiRec's
    # vectors are means of item vectors, which are those of the candidates too.
    assert found["ndcg@10"] > (0.9 if name == "comirec" else 0.95)


@pytest.fixture(scope="module")
def model(split):
    keras.utils.set_random_seed(0)
    user = SASRec(blocks=1, heads=2, dropout=0.1)
    made = TwoTower(split.train, dim=16, trend=False, user=user)
    made.compile(keras.optimizers.Adam(1e-3))
    made.fit(split.train.batches(64, examples="sequence"), verbose=0)
    return made


def test_sampled_candidates_with_all_items_give_the_loss_of_all(split, model):
    (whole,) = split.train.batches(512, examples="sequence", candidates=None)
    rows = tf.range(12)
    sampled = {**whole, "candidate": rows, "log_q": tf.zeros([12])}
    np.testing.assert_allclose(model.compute_loss(sampled), model.compute_loss(whole), rtol=1e-5)


def test_the_loss_is_the_softmax_of_the_scores_after_each_event(split):
    # Without vectors of positions, a position is the user of the events up to it.
    model = TwoTower(split.train, dim=8, trend=False, user="gru4rec")
    (batch,) = split.train.batches(512, examples="sequence")
    items = model.scorer(State.of(split.train)).item_vectors
    losses = []
    for place, item in batch["next"].numpy()[:20]:
        begin = int(np.searchsorted(batch["history_row"], batch["history_row"][place]))
        past = batch["history_item"][begin : place + 1]
        ages = batch["history_age"][begin : place + 1]
        vectors, rows = tf.gather(items[:, :8], past), tf.zeros_like(past)
        user = model.user_vectors(tf.constant([0]), vectors, past, rows, ages)
        scores = tf.linalg.matvec(items, user[0])
        losses.append(tf.reduce_logsumexp(scores) - scores[item])
    some = {**batch, "next": batch["next"][:20], "weight": batch["weight"][:20]}
    np.testing.assert_allclose(model.compute_loss(some), np.mean(losses), rtol=1e-4)


def test_saved_and_loaded(split, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    state, users = State.of(split.train), np.arange(9)
    np.testing.assert_allclose(
        loaded.scorer(state)(users), model.scorer(state)(users), rtol=1e-5, atol=1e-6
    )
    assert isinstance(loaded.user_tower, SASRec) and loaded.user_tower.options["heads"] == 2


@pytest.mark.slow
def test_resumed_training_equals_uninterrupted(split, tmp_path):
    def made():
        keras.utils.set_random_seed(3)
        model = TwoTower(split.train, dim=8, trend=False, user="sasrec")
        model.compile(keras.optimizers.Adam(1e-2))
        return model

    whole = made()
    whole.fit(split.train.batches(64, examples="sequence"), epochs=2, verbose=0)
    first = made()
    first.fit(split.train.batches(64, examples="sequence"), epochs=1, verbose=0)
    tf.train.Checkpoint(model=first, optimizer=first.optimizer).write(str(tmp_path / "point"))
    second = made()
    second.optimizer.build(second.trainable_variables)
    restored = tf.train.Checkpoint(model=second, optimizer=second.optimizer)
    restored.read(str(tmp_path / "point")).assert_existing_objects_matched()
    second.fit(split.train.batches(64, examples="sequence", first_epoch=1), epochs=1, verbose=0)
    for one, other in zip(whole.weights, second.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user": "history"}, "PooledHistory gives one vector"),
        ({"user": "sasrec", "trend": True}, "trend=False"),
        ({"user": "sasrec", "history_dropout": 0.5}, "history_dropout=0"),
        ({"user": "sasrec", "distillation": 1.0}, "distillation=0"),
    ],
)
def test_what_cannot_be_trained_on_sequences(split, options, message):
    model = TwoTower(split.train, dim=8, **({"trend": False} | options))
    model.compile("adam")
    with pytest.raises(InputError, match=message):
        model.fit(split.train.batches(32, examples="sequence"), verbose=0)


def test_wrong_options_of_a_tower(split):
    with pytest.raises(InputError, match=r"multiple of heads.*Received: 8, 3"):
        TwoTower(split.train, dim=8, user="sasrec", user_options={"heads": 3})
    for rate in (1.0, -1, float("nan")):
        with pytest.raises(ValueError, match=rf"dropout must be in \[0, 1\)\. Received: {rate}"):
            SASRec(dropout=rate)
    with pytest.raises(InputError, match=r"takes max_len, blocks, heads, dropout.*'block'"):
        TwoTower(split.train, dim=8, user="sasrec", user_options={"block": 3})
    with pytest.raises(InputError, match=r"max_len must be a whole number.*Received: 0"):
        TwoTower(split.train, dim=8, user="gru4rec", user_options={"max_len": 0})


@pytest.mark.slow
def test_a_run_of_a_sequence_tower(config, tmp_path):
    values = {"user": "sasrec", "dim": 8, "user_options": {"max_len": 7}}
    made = config(model={"kind": "two_tower", **values}, split={"kind": "leave_one_out"}, epochs=1)
    run = Run.start(tmp_path / "run", made)
    run.train()
    model = run.model()
    assert isinstance(model.user_tower, SASRec) and not model.config.trend
    # The examples take over the length that the tower reads.
    assert run.config.examples.kind == "sequence" and run.config.examples.max_len == 7
