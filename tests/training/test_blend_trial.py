"""Weights that are chosen and measured on several folds, by hand."""

import numpy as np
import pytest
from fixed_scores import Fixed

from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.pipelines import Blend
from tfrec_fusion.training import blend_fold
from tfrec_fusion.training.blend_fold import BlendFold, most_users
from tfrec_fusion.training.blend_trial import BlendTrial, mean_of_cold, total

SECOND = 1 / np.log2(3)  # NDCG@10 of a single target at rank 2
FORMS = ("weighted",)


def _fold(split, **options):
    members = {
        "one": Fixed(0, 5, 4, 1, 2).fit(split.train),
        "other": Fixed(0, 1, 5, 4, 3).fit(split.train),
    }
    options = {"forms": FORMS, "k": 10.0, "most": 100, "seed": 0} | options
    return BlendFold(members, split, **options)


@pytest.fixture
def first(temporal):
    """Users u, v and x had all but b and c, and take b: rank 1 for one, rank 2 for other."""
    train = [(user, item) for user in "uvx" for item in "ade"]
    return temporal(train, [("u", "b"), ("v", "b"), ("x", "b")])


@pytest.fixture
def second(temporal):
    """Users u and w had only a, and take c: rank 2 of four for one, rank 1 for other."""
    return temporal([("u", "a"), ("w", "a")], [("u", "c"), ("w", "c")])


@pytest.fixture
def trial(first, second):
    return BlendTrial([_fold(first), _fold(second)], ["one", "other"])


def test_rows_are_the_users_of_all_folds(trial):
    assert trial.user.tolist() == [0, 1, 2, 0, 3]
    assert (trial.users, trial.first) == (4, 3)
    np.testing.assert_allclose(trial.score("weighted", {"one": 1.0}), [1, 1, 1, SECOND, SECOND])
    # Sums: b 6, c 9, so c is first in both folds.
    even = trial.score("weighted", {"one": 1.0, "other": 1.0})
    np.testing.assert_allclose(even, [SECOND, SECOND, SECOND, 1, 1])


def test_weights_are_those_that_are_best_for_the_users_of_all_folds(trial):
    """One alone: (3 + 2 * .631) / 5 = .852; other alone, or both: (3 * .631 + 2) / 5 = .779."""
    assert trial.selected(FORMS, 5, np.arange(5)) == ("weighted", {"one": 1.0})
    assert trial.selected(FORMS, 5, np.array([0, 1, 2])) == ("weighted", {"one": 1.0})
    # Fold 2 has four candidates of a user, and fold 1 two and padding.
    assert trial.selected(FORMS, 5, np.array([3, 4])) == ("weighted", {"other": 1.0})
    # Of u in both folds and w in fold 2, two of three rows are better by other.
    assert trial.selected(FORMS, 5, np.array([0, 3, 4])) == ("weighted", {"other": 1.0})


def test_no_weight_is_measured_on_a_user_who_chose_it(trial, monkeypatch):
    chose, selected = [], trial.selected
    monkeypatch.setattr(
        trial, "selected", lambda *given: chose.append(given[2]) or selected(*given)
    )
    for seed in range(5):
        chose.clear()
        found = trial.cross_fitted(FORMS, 5, seed)
        assert len(chose) == 2 and sorted([*chose[0], *chose[1]]) == [0, 1, 2, 3, 4]
        for rows in chose:
            measured = np.setdiff1d(np.arange(5), rows)
            assert not {*trial.user[rows]} & {*trial.user[measured]}
            expected = trial.score(*selected(FORMS, 5, rows))[measured]
            np.testing.assert_array_equal(found[measured], expected)


def test_a_fold_says_what_the_blend_of_its_members_does(temporal):
    """Items d and e have no event, and keep the order of a member."""
    train = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b")]
    split = temporal(train, [("u", "c"), ("u", "d"), ("v", "e"), ("w", "d")])
    members = {
        "one": Fixed(0, 5, 4, 1, 2).fit(split.train),
        "other": Fixed(0, 1, 5, 4, 3).fit(split.train),
    }
    weights = {"one": 1.0, "other": 0.5}
    for form in ("rank", "zscore", "weighted"):
        fold = _fold(split, forms=[form])
        for cold in (None, "one", "other"):
            blend = Blend(members, how=form, weights=weights, cold=cold)
            expected = evaluate(blend, split, k=(10,), bootstrap=0)
            found = fold.report(form, weights, cold=cold, slices=True)
            assert found.counts["cold"]["users"] == 3
            for label in ("total", "cold"):
                np.testing.assert_allclose(
                    found.slice_per_user[label]["ndcg@10"],
                    expected.slice_per_user[label]["ndcg@10"],
                    atol=1e-12,
                )
    # Of u and w the target d is first in the order of other, and of v the target e second.
    reports = [fold.report("weighted", weights, cold="other", slices=True)] * 2
    assert mean_of_cold(reports) == pytest.approx((2 + SECOND) / 3)
    assert len(total(reports)) == 6


def test_there_is_no_mean_of_unseen_items_where_no_user_has_any(temporal):
    fold = _fold(temporal([("u", "a"), ("v", "a"), ("v", "b")], [("u", "b")]))
    assert np.isnan(mean_of_cold([fold.report("weighted", {"one": 1.0}, slices=True)]))


def test_terms_of_all_folds_fit_into_memory(first, monkeypatch, caplog):
    # For each of two members: three forms of five items and the scores of b and c, which have no
    # event, of 4 bytes each; for two users, and a little more.
    monkeypatch.setattr(blend_fold, "_MOST_BYTES", 2 * (2 * (3 * 5 + 2) * 4) + 1)
    assert most_users(first.train, members=2, forms=3) == 2
    fold = _fold(first, most=2)
    assert len(fold.users) == len(fold.relevant) == 2
    assert "choose_blend: measured on 2 of 3 users" in caplog.text
