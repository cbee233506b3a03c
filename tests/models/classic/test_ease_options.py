"""What EASE and SparseEASE add to the weights: decays, transitions, trends, whitened text."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, History, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE, ItemItem, SparseEASE
from tfrec_fusion.models.classic.transitions import transitions
from tfrec_fusion.models.classic.trend_factor import TrendFactor
from tfrec_fusion.models.serving.history_decay import HistoryDecay

# u: a, b, c on days 0, 10, 30; v: a, c on days 5, 40; w: b on day 41.
ROWS = [
    ("u", "a", 0),
    ("v", "a", 5),
    ("u", "b", 10),
    ("u", "c", 30),
    ("v", "c", 40),
    ("w", "b", 41),
]


def of_positions(rows, items="abc", **vectors):
    catalogue = Catalogue(pd.DataFrame({"item_id": list(items)}), vectors)
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "position"])
    return Interactions.from_frame(frame, catalogue)


def random_events(n_items=12, n_users=9, n_events=60, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"i{row}" for row in range(n_items)]
    vectors = {"text": rng.normal(size=(n_items, 6)).astype(np.float32)}
    frame = pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in rng.integers(0, n_users, n_events)],
            "item_id": [ids[row] for row in rng.integers(0, n_items - 1, n_events)],
            "timestamp": 1.6e9 + 86400.0 * np.sort(rng.uniform(0, 300, n_events)),
        }
    )
    return Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ids}), vectors))


def test_decays_by_hand(events_of):
    state = State.of(events_of(ROWS))
    # u: b and a are 20 and 30 days older than c, v: a is 35 days older than c.
    found = HistoryDecay(half_life_days=10).matrix(state).toarray()
    expected = [[1 / 8, 1 / 4, 1], [2**-3.5, 0, 1], [0, 1, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = HistoryDecay(step_decay=0.5).matrix(state).toarray()
    np.testing.assert_allclose(found, [[1 / 4, 1 / 2, 1], [1 / 2, 0, 1], [0, 1, 0]])
    both = HistoryDecay(10, 0.5).matrix(state).toarray()
    np.testing.assert_allclose(both[0], [1 / 32, 1 / 8, 1], rtol=1e-6)
    np.testing.assert_allclose(
        HistoryDecay(None, 0.5).matrix(state.cut(2))[[0]].toarray(), [[0, 0.5, 1]]
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 4000, width=32), max_size=6), min_size=1, max_size=5),
    st.sampled_from([(None, 0.7), (30.0, None), (5.0, 0.9)]),
)
def test_the_graph_weights_as_numpy(ages, options):
    decay = HistoryDecay(*options)
    ages = [sorted(one, reverse=True) for one in ages]
    splits = np.cumsum([0, *map(len, ages)])
    flat = np.array([age for one in ages for age in one], np.float32)
    positions = np.repeat(np.arange(len(ages)), np.diff(splits)).astype(np.int32)
    found = decay(tf.constant(positions), tf.constant(flat), len(ages)).numpy()
    expected = decay.weights(History(splits, np.zeros(len(flat), np.int32), flat))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((expected >= 0) & (expected <= 1)).all()
    ends = splits[1:][np.diff(splits) > 0] - 1
    assert (expected[ends] == 1).all()


def test_old_events_weigh_less_in_the_training_matrix_by_hand(events_of):
    # Half-life 10 days. u: a 10 and b 0 days before the last event; v: b 20 days before, so
    # X = [[1/2, 1], [0, 1/4]] and X'X + I = [[5/4, 1/2], [1/2, 33/16]].
    events = events_of([("v", "b", 0), ("u", "a", 10), ("u", "b", 20)], "ab")
    weights = EASE(l2=1, event_half_life_days=10).fit(events).scores.weights
    # B_ij = G_ij / G_ii for two items.
    np.testing.assert_allclose(weights, [[0, 0.5 / 1.25], [0.5 / (33 / 16), 0]], rtol=1e-6)
    # Of repeated events the latest counts: v takes b again on the last day.
    again = [("v", "b", 0), ("u", "a", 10), ("u", "b", 20), ("v", "b", 20)]
    again = EASE(l2=1, event_half_life_days=10).fit(events_of(again, "ab").with_repeats("all"))
    np.testing.assert_allclose(again.scores.weights[1, 0], 0.5 / 3, rtol=1e-6)


def test_transitions_by_hand():
    # u: a b c, v: a c, w: b a. After a: b and c, after b: c and a.
    rows = [("u", "a", 0), ("u", "b", 1), ("u", "c", 2), ("v", "a", 0), ("v", "c", 5)]
    events = of_positions([*rows, ("w", "b", 1), ("w", "a", 2)])
    m = np.array([[0, 1 / 2, 1 / 2], [1 / 2, 0, 1 / 2], [0, 0, 0]])
    np.testing.assert_allclose(transitions(events).toarray(), m + m.T / 2)
    plain, more = (EASE(l2=5, transition_weight=w).fit(events).scores.weights for w in (0, 0.1))
    np.testing.assert_allclose(more - plain, 0.1 * (m + m.T / 2), atol=1e-7)
    sparse = SparseEASE(l2=5, transition_weight=0.1).fit(events).scores.weights
    np.testing.assert_allclose(sparse.toarray(), more, atol=1e-6)


def test_trends_by_hand(events_of):
    # 6 events of 4 items: a 2, b 2, c 2. In the 12 days before day 41 and a second: c 1, b 1.
    state = State.of(events_of(ROWS, items="abcd"))
    overall = np.array([3, 3, 3, 1]) / 10
    recent = (np.array([0, 1, 2, 0]) + 4 * overall) / (3 + 4)
    found = TrendFactor(days=12, power=0.5).of(state)
    np.testing.assert_allclose(found, (recent / overall) ** 0.5, rtol=1e-6)
    # As of day 6, a alone was sold, twice: shares 3/6 and 1/6, recent (2 + 4/2)/6 and (4/6)/6.
    early = TrendFactor(12, 1.0).of(State.of(events_of(ROWS, items="abcd"), at=6 * 86400.0))
    np.testing.assert_allclose(early, [4 / 3, 2 / 3, 2 / 3, 2 / 3], rtol=1e-6)


def test_scores_with_decay_and_trend_by_hand(events_of):
    events = events_of(ROWS)
    weights = np.arange(9, dtype=np.float32).reshape(3, 3)
    model = ItemItem(weights, decay=HistoryDecay(step_decay=0.5), trend=TrendFactor(12, 1.0))
    factors = TrendFactor(12, 1.0).of(State.of(events))
    v = model.scorer(State.of(events))(np.array([1, -1]))
    # v: half of row a, and row c.
    np.testing.assert_allclose(v, [[6, 7.5, 9] * factors, [0, 0, 0]], rtol=1e-6)


OPTIONS = [
    {"half_life_days": 20.0},
    {"step_decay": 0.6, "transition_weight": 0.05},
    {"trend_power": 0.8, "vectors": "text", "text_weight": 3.0, "dims": 4, "step_decay": 0.9},
]


@pytest.mark.parametrize("cls", [EASE, SparseEASE])
@pytest.mark.parametrize("options", OPTIONS)
def test_saved_and_served_models_score_alike(cls, options, tmp_path):
    events = random_events()
    model = cls(l2=3.0, **options).fit(events)
    state = State.of(events)
    users = np.array([0, 3, -1, 5], np.int32)
    expected = model.scorer(state)(users)
    assert expected.dtype == np.float32
    model.save(tmp_path / "model")
    loaded = cls.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.scorer(state)(users), expected)
    items, positions, ages = state.flat_histories(users)
    for precision, atol in (("float32", 1e-5), ("float16", 1e-2), ("int8", 2e-2)):
        one = loaded.serving(state, precision)
        found = one.users(*map(tf.constant, (users, items, positions, ages)))
        np.testing.assert_allclose(found, expected, atol=atol)
        assert one.reads_order == ("half_life_days" in options or "step_decay" in options)


def test_the_trend_is_that_of_the_events_that_are_scored():
    events = random_events()
    model = EASE(trend_power=1.0).fit(events)
    early = State.of(events, at=1.6e9 + 200 * 86400)
    plain = EASE().fit(events).scorer(early)(np.arange(3))
    factors = TrendFactor(30, 1.0).of(early)
    np.testing.assert_allclose(model.scorer(early)(np.arange(3)), plain * factors, rtol=1e-5)
    assert abs(factors - TrendFactor(30, 1.0).of(State.of(events))).max() > 0.1


@pytest.mark.parametrize("text", [{}, {"vectors": "text", "text_weight": 4.0, "dims": 3}])
def test_with_all_neighbours_it_is_ease(text):
    events = random_events()
    dense = EASE(l2=2.0, **text).fit(events).scores.weights
    sparse = SparseEASE(l2=2.0, neighbours=50, **text).fit(events).scores.weights
    np.testing.assert_allclose(sparse.toarray(), dense, atol=1e-5)
    few = SparseEASE(l2=2.0, neighbours=3, **text).fit(events).scores.weights
    assert np.diff(few.tocsc().indptr).max() <= 3
    # Each column is the ridge regression on its neighbours alone.
    x = events.matrix().toarray().astype(np.float64)
    if not text:
        support = few[:, [0]].nonzero()[0]
        a = x[:, support]
        solved = np.linalg.solve(a.T @ a + 2 * np.eye(len(support)), a.T @ x[:, 0])
        np.testing.assert_allclose(few[support][:, [0]].toarray().ravel(), solved, atol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    from tfrec_fusion.models.classic import ease, linear_model, sparse_ease

    events = random_events()
    options = {"vectors": "text", "text_weight": 4.0, "transition_weight": 0.1}
    whole = [cls(**options).fit(events).scores.weights for cls in (EASE, SparseEASE)]
    for module in (ease, linear_model, sparse_ease):
        monkeypatch.setattr(module, "_BLOCK", 5)
    monkeypatch.setattr(sparse_ease, "_SOLVED", 5)
    parts = [cls(**options).fit(events).scores.weights for cls in (EASE, SparseEASE)]
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(parts[1].toarray(), whole[1].toarray(), atol=1e-6)


def test_few_counts_are_kept_of_each_item():
    events = random_events(n_events=400)
    weights = SparseEASE(kept=3, neighbours=6).fit(events).scores.weights
    assert np.isfinite(weights.data).all() and np.diff(weights.tocsc().indptr).max() <= 6


def test_too_many_items_for_a_dense_fit(events_of):
    # 3 x 3 pairs in 8 bytes each are 72 bytes.
    assert EASE(fit_gib=72 / 2**30).fit(events_of(ROWS)).scores.count == 3
    with pytest.raises(InputError, match=r"EASE: fit: 3 items need .*use SparseEASE \(--model"):
        EASE(fit_gib=71 / 2**30).fit(events_of(ROWS))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"half_life_days": 5}, "half_life_days needs a column 'timestamp'"),
        ({"event_half_life_days": 5}, "event_half_life_days needs a column 'timestamp'"),
        ({"trend_power": 0.5}, "trend_power needs a column 'timestamp'"),
        ({"step_decay": 0.5}, "step_decay needs a column 'timestamp' or 'position'"),
        ({"transition_weight": 0.5}, "transition_weight needs .*Received: transition_weight=0.5"),
    ],
)
def test_options_need_times_or_an_order(options, words, make_events):
    plain = make_events([("u", "a"), ("u", "b")], "ab")
    with pytest.raises(InputError, match=words):
        EASE(**options).fit(plain)
    positions = of_positions([("u", "a", 0), ("u", "b", 1)])
    if "'position'" in words or "transition" in words:
        EASE(**options).fit(positions)
    else:
        with pytest.raises(InputError, match=words):
            EASE(**options).fit(positions)


def test_events_to_score_need_them_too(events_of, make_events):
    timed = events_of(ROWS)
    plain = make_events([("u", "a"), ("u", "b")], "abc")
    ordered = of_positions([("u", "a", 0), ("u", "b", 1)])
    for options, events in (
        ({"half_life_days": 5}, ordered),
        ({"step_decay": 0.5}, plain),
        ({"trend_power": 1}, ordered),
    ):
        model = EASE(**options).fit(timed)
        for use in (model.scorer, model.serving):
            with pytest.raises(InputError, match=r"needs? a column 'timestamp'"):
                use(State.of(events))
    EASE(step_decay=0.5).fit(timed).scorer(State.of(ordered))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step_decay": 0}, "step_decay"),
        ({"step_decay": 1.1}, "step_decay"),
        ({"half_life_days": 0}, "half_life_days"),
        ({"trend_power": -1}, "trend_power"),
        ({"transition_weight": float("inf")}, "transition_weight"),
        ({"dims": 4}, "dims needs vectors"),
        ({"neighbours": 0}, "neighbours"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(InputError, match=words):
        SparseEASE(**options)
