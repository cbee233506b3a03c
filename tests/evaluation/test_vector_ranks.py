from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tfrec_fusion._compat import tf
from tfrec_fusion.data.history import History
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate, segment, vector_ranks


class Vectors:
    """A model of one dot product; `plain` gives its scores without its vectors."""

    name = "vectors"

    def __init__(self, users, items):
        self.users, self.items = np.asarray(users, np.float32), np.asarray(items, np.float32)

    def scorer(self, state):
        return SimpleNamespace(user_vectors=lambda rows: self.users[rows], item_vectors=self.items)

    @property
    def plain(self):
        scorer = lambda rows: self.users[rows] @ self.items.T  # noqa: E731
        return SimpleNamespace(name="vectors", scorer=lambda state: scorer)


def make_split(rng, n_users, n_items, seen, cold, most):
    """Each user has seen a share of the warm items and has up to `most` new targets."""
    pairs = rng.random((n_users, n_items)) < seen
    pairs[:, rng.random(n_items) < cold] = False
    items = []
    for row in pairs:
        new = rng.permutation(np.flatnonzero(~row))
        items.append(new[: rng.integers(1, most + 1)])
    users = np.flatnonzero([len(new) for new in items]).astype(np.int32)
    items = [items[user] for user in users]
    splits = np.concatenate([[0], np.cumsum([len(new) for new in items])]).astype(np.int64)
    targets = History(splits, np.concatenate([*items, []]).astype(np.int32), None)
    matrix = sparse.csr_matrix(pairs.astype(np.float32))
    nothing = np.zeros(0, bool)
    train = SimpleNamespace(matrix=lambda: matrix, timestamp=None, is_impression=nothing)
    train.counted_events = lambda: train
    return SimpleNamespace(train=train, targets=lambda: (users, targets), kind="random")


def assert_equal(a, b):
    assert a.counts == b.counts
    for label in a.metrics:
        for metric, values in a.slice_per_user[label].items():
            np.testing.assert_allclose(
                values, b.slice_per_user[label][metric], rtol=1e-9, err_msg=f"{label} {metric}"
            )
        np.testing.assert_equal(a.metrics[label].keys(), b.metrics[label].keys())
    for cut in a.k:
        assert a.metrics["total"][f"coverage@{cut}"] == b.metrics["total"][f"coverage@{cut}"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 12),
    st.sampled_from([1, 3, 1000]),
    st.sampled_from([0, 0.1, 0.9]),
    st.sampled_from([0, 0.3, 1]),
    st.sampled_from([1, 4, 60]),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_computation_on_all_scores(
    n_items, n_users, levels, seen, cold, most, batch, seed
):
    # Whole numbers: sums are exact, one level ties everything, three tie much.
    rng = np.random.default_rng(seed)
    split = make_split(rng, n_users, n_items, seen, cold, most)
    if not len(split.targets()[0]):
        return
    model = Vectors(rng.integers(0, levels, (n_users, 3)), rng.integers(0, levels, (n_items, 3)))
    options = {"k": (1, 3, 10), "bootstrap": 0, "batch": batch}
    assert_equal(evaluate(model, split, **options), evaluate(model.plain, split, **options))


def test_equals_it_for_many_items_and_real_vectors():
    rng = np.random.default_rng(0)
    split = make_split(rng, 50, 5000, 0.01, 0.2, 30)
    model = Vectors(rng.normal(size=(50, 16)), rng.normal(size=(5000, 16)))
    model.items[4000:] = model.items[:1000]  # ties that rounding could break
    assert_equal(
        evaluate(model, split, bootstrap=0, batch=7), evaluate(model.plain, split, bootstrap=0)
    )


@pytest.mark.parametrize("block_scores", [32, 700, 5000])
@pytest.mark.parametrize("levels", [1, 3, 100])
def test_blocks_of_items_change_nothing(block_scores, levels, monkeypatch):
    rng = np.random.default_rng(levels)
    split = make_split(rng, 9, 500, 0.1, 0.3, 8)
    model = Vectors(rng.integers(0, levels, (9, 3)), rng.integers(0, levels, (500, 3)))
    expected = evaluate(model.plain, split, bootstrap=0)
    monkeypatch.setattr(segment, "BLOCK_SCORES", block_scores)
    assert_equal(evaluate(model, split, bootstrap=0), expected)


def test_tensors_do_as_well_as_arrays():
    rng = np.random.default_rng(1)
    split = make_split(rng, 5, 100, 0.1, 0.2, 3)
    model = Vectors(rng.normal(size=(5, 4)), rng.normal(size=(100, 4)))
    scorer = SimpleNamespace(
        item_vectors=tf.constant(model.items),
        user_vectors=lambda users: tf.gather(tf.constant(model.users), users),
    )
    tensors = SimpleNamespace(scorer=lambda state: scorer)
    assert_equal(evaluate(tensors, split, bootstrap=0), evaluate(model, split, bootstrap=0))


def test_a_constant_score_gets_what_chance_gets():
    # 200 candidates of one score for each of two users, who have seen none: Recall@10 is 10 / 200.
    split = make_split(np.random.default_rng(2), 2, 200, 0, 1, 1)
    report = evaluate(Vectors(np.ones((2, 3)), np.ones((200, 3))), split, k=10, bootstrap=0)
    assert report.metrics["total"]["recall@10"] == pytest.approx(10 / 200)


def test_users_with_many_targets_get_small_blocks(monkeypatch):
    monkeypatch.setattr(vector_ranks, "_COMPARED", 1000)
    # 30 * (10 + 30) is above 1000: alone; 5 * (10 + 5) = 75: 13 together, of which 3 are left.
    blocks = vector_ranks._blocks(np.array([30, 5, 5, 5]), longest=10, step=256)
    assert list(blocks) == [(0, 1), (1, 4)]


@pytest.mark.parametrize(
    ("users", "items", "words"),
    [
        (np.ones((3, 2)), np.ones((9, 2)), r"item_vectors must be \[10, dim\]"),
        (np.ones((3, 2)), np.ones(10), r"item_vectors must be \[10, dim\]"),
        (np.ones((3, 2)), np.full((10, 2), np.nan), "item_vectors must be finite.*nan in row 0"),
        (np.full((3, 2), np.inf), np.ones((10, 2)), "user_vectors must be finite.*inf in row 0"),
    ],
)
def test_bad_vectors(users, items, words):
    split = make_split(np.random.default_rng(3), 3, 10, 0.1, 0.1, 2)
    with pytest.raises(InputError, match=words) as error:
        evaluate(Vectors(users, items), split)
    assert "\n" not in str(error.value)


def test_a_target_among_the_training_items_is_refused():
    split = make_split(np.random.default_rng(4), 3, 10, 0.9, 0, 2)
    users, targets = split.targets()
    targets.items[0] = split.train.matrix()[users[0]].indices[0]
    with pytest.raises(InputError, match="among the user's training items"):
        evaluate(Vectors(np.ones((3, 2)), np.ones((10, 2))), split)
