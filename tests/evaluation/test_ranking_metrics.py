import numpy as np
import pytest
from scipy.special import expit

from tfrec_fusion.evaluation.ranking_metrics import RankedRows, ranking_metrics
from tfrec_fusion.metrics import (
    auc,
    expected_calibration_error,
    gauc,
    log_loss,
    ndcg_of_lists,
    normalised_entropy,
)

# User 7: item 0 (taken) before 1; item 2 (taken) after 1. User 9: item 1 (taken) ties with 3.
# User 5: item 3, not taken.
ROWS = RankedRows(
    user=np.array([7, 7, 7, 9, 9, 5]),
    item=np.array([0, 1, 2, 1, 3, 3]),
    list=np.array([7, 7, 7, 9, 9, 5]),
    label=np.array([2, 0, 1, 1, 0, 0]),
    score=np.array([3.0, 1.0, 0.0, 2.0, 2.0, -1.0]),
    logit=np.array([3.0, 1.0, 0.0, 2.0, 2.0, -1.0]),
)
NAMES = ("log_loss", "normalised_entropy", "ece")


def _found(rows=ROWS, items=None, users=None, bootstrap=0):
    return ranking_metrics(rows, items or {}, users or {}, bootstrap, 0)


def test_all_rows_by_the_functions_of_metrics():
    total = _found()["total"]
    labels = ROWS.label > 0
    assert total.metrics == pytest.approx(
        {
            # (3 * 1/2 + 2 * 1/2) / 5; user 5 has one label.
            "gauc": gauc(ROWS.user, ROWS.label, ROWS.score),
            "auc": auc(ROWS.label, ROWS.score),
            "ndcg@10": ndcg_of_lists(ROWS.list, ROWS.label, ROWS.score),
            "log_loss": log_loss(labels, ROWS.score, from_logits=True),
            "normalised_entropy": normalised_entropy(labels, ROWS.score, from_logits=True),
            # Fewer rows than bins: only the tie shares one.
            "ece": (np.abs(labels - expit(ROWS.score))[[0, 1, 2, 5]].sum() + 2 * expit(2) - 1) / 6,
        }
    )
    assert total.metrics["gauc"] == 0.5
    assert total.counts == {
        "users": 3,
        "users_of_one_label": 1,
        "lists": 2,
        "positives": 3,
        "negatives": 3,
    }
    assert total.intervals == {}


def test_a_slice_of_items_ranks_its_positives_against_all_negatives():
    found = _found(items={"late": np.array([False, False, True, True])})["late"]
    # Item 2 is behind item 1, in second place of two; user 9 took none of these items.
    assert found.metrics["gauc"] == found.metrics["auc"] == 0
    assert found.metrics["ndcg@10"] == pytest.approx(1 / np.log2(3))
    assert found.counts == {
        "users": 1,
        "users_of_one_label": 0,
        "lists": 1,
        "positives": 1,
        "negatives": 1,
    }
    # The rows of items 2, 3 and 3.
    labels, scores = [1, 0, 0], [0.0, 2.0, -1.0]
    assert found.metrics["log_loss"] == pytest.approx(log_loss(labels, scores, from_logits=True))


def test_a_slice_of_users_and_one_without_rows():
    masks = {"nine": np.arange(10) == 9, "nobody": np.zeros(10, bool)}
    found = _found(users=masks, bootstrap=20)
    assert found["nine"].metrics["gauc"] == 0.5
    assert found["nine"].metrics["log_loss"] == pytest.approx(
        log_loss([1, 0], [2.0, 2.0], from_logits=True)
    )
    # Both rows are in one bin, with the mean label 1/2.
    assert found["nine"].metrics["ece"] == pytest.approx(expit(2.0) - 0.5)
    assert all(np.isnan(value) for value in found["nobody"].metrics.values())
    assert found["nobody"].intervals == {}
    assert set(found["nobody"].counts.values()) == {0}


def test_scores_have_no_probabilities():
    rows = RankedRows(*(getattr(ROWS, n) for n in ("user", "item", "list", "label", "score")), None)
    found = _found(rows, bootstrap=20)["total"]
    assert found.metrics["gauc"] == 0.5
    assert all(np.isnan(found.metrics[name]) for name in NAMES)
    assert not set(NAMES) & set(found.intervals)


def test_intervals_are_those_of_resampled_users():
    rng = np.random.default_rng(0)
    n_users, events = 120, 600
    user = np.repeat(rng.integers(0, n_users, events), 4)
    label = np.tile([1.0, 0, 0, 0], events)
    score = rng.normal(size=n_users)[user] * (0.5 + label) + label + rng.normal(size=len(user)) - 1
    lists = np.arange(len(user)) // 4
    rows = RankedRows(user, np.zeros(len(user), int), lists, label, score, score)
    found = _found(rows, bootstrap=600)["total"]
    drawn, of_user = [], [np.flatnonzero(user == one) for one in np.unique(user)]
    for _ in range(600):
        chosen = rng.integers(0, len(of_user), len(of_user))
        rows_of = [of_user[one] for one in chosen]
        row = np.concatenate(rows_of)
        # A user who is drawn twice is two users, as are their lists.
        twice = np.repeat(np.arange(len(chosen)), [len(one) for one in rows_of])
        y, s = label[row], score[row]
        drawn.append(
            [
                gauc(twice, y, s),
                auc(y, s),
                ndcg_of_lists(twice * len(user) + lists[row], y, s),
                log_loss(y, s, from_logits=True),
                normalised_entropy(y, s, from_logits=True),
                expected_calibration_error(y, s, 15, "equal_count", from_logits=True),
            ]
        )
    exact = np.percentile(drawn, [2.5, 97.5], axis=0).T
    names = ("gauc", "auc", "ndcg@10", *NAMES)
    for name, bounds in zip(names, exact, strict=True):
        width = bounds[1] - bounds[0]
        np.testing.assert_allclose(found.intervals[name], bounds, atol=0.15 * width, err_msg=name)
