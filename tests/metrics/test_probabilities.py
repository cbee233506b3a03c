"""Metrics of predicted probabilities, and the AUC of all rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from tfrec_fusion.errors import InputError
from tfrec_fusion.metrics import (
    auc,
    expected_calibration_error,
    log_loss,
    normalised_entropy,
)

# Base rate 1/4. Losses: log 2, log 4/3, log 4/3 and log 4.
LABELS = np.array([1, 0, 0, 0])
PROBABILITIES = np.array([0.5, 0.25, 0.25, 0.75])
LOSS = (np.log(2) + 2 * np.log(4 / 3) + np.log(4)) / 4
ENTROPY = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))


def _logits(p):
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize("metric", [log_loss, normalised_entropy, expected_calibration_error])
def test_logits_and_probabilities_are_the_same(metric):
    found = metric(LABELS, _logits(PROBABILITIES), from_logits=True)
    assert found == pytest.approx(metric(LABELS, PROBABILITIES))
    assert np.isnan(metric([], []))


def test_log_loss_and_entropy_by_hand():
    assert log_loss(LABELS, PROBABILITIES) == pytest.approx(LOSS)
    assert normalised_entropy(LABELS, PROBABILITIES) == pytest.approx(LOSS / ENTROPY)
    assert normalised_entropy(LABELS, np.full(4, 0.25)) == pytest.approx(1)
    # A share as a label: half of log 2 each.
    assert log_loss([0.5], [0.5]) == pytest.approx(np.log(2))


def test_certain_predictions():
    assert log_loss([1, 0], [1.0, 0.0]) == pytest.approx(0, abs=1e-12)
    assert log_loss([0], [1.0]) == pytest.approx(52 * np.log(2))  # the clip at 2^-52
    assert log_loss([0], [1e4], from_logits=True) == pytest.approx(1e4)
    assert np.isnan(normalised_entropy([1, 1], [0.5, 0.5]))


def test_calibration_by_hand():
    # Four bins: 1/4 and 1/4 are in the second, 1/2 in the third, 3/4 in the fourth.
    error = (abs(0 - 0.25) * 2 + abs(1 - 0.5) + abs(0 - 0.75)) / 4
    assert expected_calibration_error(LABELS, PROBABILITIES, 4) == pytest.approx(error)
    # Two: the lower two, and 1 of 2 beside the mean probability 5/8.
    error = (2 * 0.25 + 2 * (5 / 8 - 1 / 2)) / 4
    assert expected_calibration_error(LABELS, PROBABILITIES, 2) == pytest.approx(error)
    # The quantile 3/8 divides the rows into the same two.
    equal = expected_calibration_error(LABELS, PROBABILITIES, 2, "equal_count")
    assert equal == pytest.approx(error)
    # One bin: only the mean counts, and probability 1 is in the last bin.
    assert expected_calibration_error([1, 1], [1.0, 1.0], 3) == 0
    assert expected_calibration_error(LABELS, PROBABILITIES, 1) == pytest.approx(7 / 16 - 1 / 4)


def test_bins_of_equal_count_part_small_probabilities():
    """Of click rates below 1/15 all are in the first bin of equal width."""
    p = np.repeat([0.01, 0.05], 1000)
    labels = np.tile(np.arange(1000) < 30, 2)  # 3 % of both
    assert expected_calibration_error(labels, p) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(labels, p, 2, "equal_count") == pytest.approx(0.02)


rows = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.7, 0.9])), min_size=2, max_size=30
)


@settings(deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_equal_scikit_learns_in_any_order(rows, random):
    labels, p = (np.array(column) for column in zip(*rows, strict=True))
    assert log_loss(labels, p) == pytest.approx(sklearn_log_loss(labels, p, labels=[0, 1]))
    if labels.any() and not labels.all():
        assert auc(labels, p) == pytest.approx(roc_auc_score(labels, p))
    else:
        assert np.isnan(auc(labels, p))
    order = random.sample(range(len(rows)), len(rows))
    for strategy in ("equal_width", "equal_count"):
        first = expected_calibration_error(labels, p, 4, strategy)
        again = expected_calibration_error(labels[order], p[order], 4, strategy)
        assert again == pytest.approx(first)
        # With a bin for each prediction it is the sum over the distinct ones.
    exact = sum(abs((labels - p)[p == one].sum()) for one in set(p)) / len(p)
    assert expected_calibration_error(labels, p, 20) == pytest.approx(exact)


def test_ties_count_half():
    # Positives 2 and 1 against 2, 1 and 0: 1/2 + 1 + 1, and 0 + 1/2 + 1, of 6.
    assert auc([1, 1, 0, 0, 0], [2.0, 1, 2, 1, 0]) == pytest.approx(4 / 6)
    assert auc([3, -1], [expit(1.0), 0.0]) == 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: auc([1, 0], [0.5]), "auc: labels and scores must be .* equal length"),
        (lambda: auc([1, 0], [0.5, np.inf]), "auc: 1 scores are not finite. Received: inf"),
        (lambda: log_loss([1, 2], [0.5, 0.5]), "log_loss: labels must be between 0 and 1. Rec"),
        (lambda: log_loss([1], [-2.0]), "predictions must be .* or pass from_logits=True. Rec.*-2"),
        (lambda: log_loss([np.nan], [0.5]), "log_loss: 1 labels are not finite"),
        (lambda: normalised_entropy([1], [0.5, 0.5]), "normalised_entropy: .* equal length"),
        (lambda: expected_calibration_error([1], [1.5]), "_error: predictions must be between"),
        (lambda: expected_calibration_error([1], [0.5], 0), "bins must be a whole .*: 0"),
        (lambda: expected_calibration_error([1], [0.5], 1.5), "bins must be a whole .*: 1.5"),
        (lambda: auc(["a", "b"], [0.5, 0.1]), "auc: labels must be numbers. Received: .*'a'"),
        (lambda: auc([1, None], [0.5, 0.1]), "auc: labels must be numbers. Received: .*None"),
        (lambda: log_loss([1], ["0.5"]), "log_loss: predictions must be numbers. .*'0.5'"),
        (lambda: auc([1, 0], [[1], [1, 2]]), "auc: scores must be one-dimensional"),
        (lambda: expected_calibration_error([1], [0.5], 2, "width"), "strategy must be .*'width'"),
    ],
)
def test_a_mistake_is_named(call, told):
    with pytest.raises(InputError, match=told):
        call()
