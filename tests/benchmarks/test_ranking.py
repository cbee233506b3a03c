import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ranking():
    """The modules of benchmarks/ranking.py."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    from rankings import data, figures, models

    sys.path.remove(folder)
    return SimpleNamespace(data=data, figures=figures, models=models)


def _rows(user, item, label):
    columns = {"user": np.array(user), "item": np.array(item)}
    columns["label"] = np.array(label, np.float32)
    return SimpleNamespace(columns=columns, **columns)


def test_the_means_of_training_rows_do_not_know_their_labels(ranking):
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 20, 2000), rng.integers(0, 30, 2000)
    label = (rng.random(2000) < 0.5).astype(np.float32)  # of nothing
    found = {"user_codes": np.zeros((20, 1)), "item_codes": np.zeros((30, 1))}
    means = ranking.models._Means(_rows(user, item, label), found)
    ours = means(_rows(user, item, label), own=True)
    # Of 2,000 random labels a correlation has the standard deviation .022.
    for column in (0, 2):
        assert abs(np.corrcoef(ours[:, column], label)[0, 1]) < 0.09
    # With all rows, as of the test: 3 ones of 4 rows and 5 of the smoothing at the mean.
    few = ranking.models._Means(_rows([0] * 4, [0, 0, 0, 1], [1, 1, 1, 0]), found)
    tested = few(_rows([0], [1], [0]), own=False)
    np.testing.assert_allclose(
        tested, [[(3 + 5 * 0.75) / 9, np.log(5), (0 + 5 * 0.75) / 6, np.log(2)]]
    )


def test_a_difference_has_the_users_pairs_as_weights(ranking):
    # Of user 0, with 3 pairs, the first orders both right, the other neither; of user 1 both agree.
    pairs = {
        "user": np.array([0, 0, 0, 1, 1]),
        "label": np.array([1, 0, 0, 1, 0]),
        "events": np.array([9, 9, 9, 9, 9]),
    }
    first, second = [np.array([3.0, 1, 2, 1, 0])], [np.array([0.0, 1, 2, 1, 0])]
    own, theirs = (
        ranking.figures._per_user(one, pairs, np.ones(5, bool)) for one in (first, second)
    )
    np.testing.assert_allclose(own[0], [1, 1])
    np.testing.assert_allclose(theirs[0], [0, 1])
    mean, low, high = ranking.figures._bootstrap(own[0] - theirs[0], own[1])
    assert mean == pytest.approx(3 / 5)
    assert (low, high) == (0.0, 1.0)


def test_figures_by_hand(ranking):
    pairs = {
        "user": np.array([0, 0, 1, 1]),
        "label": np.array([1, 0, 0, 1]),
        "events": np.array([1, 2, 9, 9]),
    }
    found = ranking.figures.figures(pairs, np.array([0.0, 1.0, 0.0, 2.0]))
    # User 0 has its positive second: 1 / log2(3).
    assert found["GAUC"] == 0.5
    assert found["AUC"] == pytest.approx((0 + 0.5 + 1 + 1) / 4)
    assert found["NDCG@10"] == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert found["few GAUC"] == found["few AUC"] == 0.0
