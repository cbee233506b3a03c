"""Propensities of positions: how often users look at a position, estimated from clicks alone."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from tfrec_fusion.errors import InputError


def examination_propensities(
    pairs: np.ndarray,
    positions: np.ndarray,
    clicks: np.ndarray,
    *,
    features: np.ndarray | None = None,
    start: float = 0.5,
    iterations: int = 300,
    l2: float = 1.0,
) -> np.ndarray:
    """Estimates how often users examine a position, relative to the first one, from a click log.

    The position-based model: a click at position k on the pair i (an item for a query or a user)
    has the probability `theta_k gamma_i`, of examining the position and of wanting the item. Both
    are estimated by expectation maximisation, without an experiment; the log must show pairs at
    several positions, or have features that say which pairs are alike. From Wang et al., "Position
    Bias Estimation for Unbiased Learning to Rank in Personal Search" (WSDM 2018).

    Args:
      pairs: `[n]` int, what was shown: rows of `features`, or any numbers.
      positions: `[n]` int, from 1 for the first.
      clicks: `[n]`, 0 or 1.
      features: `[pairs, F] float`; gamma is then a logistic regression on the standardised
        features (regression EM). None gives each pair a gamma of its own.
      start: theta of all positions at first, between 0 and 1. Not 1: there whatever is not clicked
        was examined and not wanted, so that theta stays 1.
      iterations: number of steps.
      l2: weight of half the squared norm of the regression's coefficients.

    Returns:
      `[largest position] float64`, of which the first is 1.

    Raises:
      InputError: `start` is not between 0 and 1, lengths differ, there are no clicks, clicks are
        not 0 or 1, a position is below 1 or has no rows, the first has no clicks, each pair stands
        at one position and there are no `features`, or `features` lacks pairs or is not finite.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> pairs, positions = rng.integers(0, 50, 20_000), rng.integers(1, 4, 20_000)
      >>> wanted = rng.random(20_000) < np.linspace(0.1, 0.9, 50)[pairs]
      >>> clicks = wanted & (rng.random(20_000) < 1 / positions)
      >>> theta = examination_propensities(pairs, positions, clicks)
      >>> bool(np.abs(theta - [1, 1 / 2, 1 / 3]).max() < 0.03)
      True
    """
    if not 0 < start < 1:
        raise InputError(
            "examination_propensities: start must be between 0 and 1; from 1 the estimate never "
            f"moves. Received: {start}"
        )
    if not (isinstance(iterations, int) and iterations >= 1 and 0 <= l2 < np.inf):
        raise InputError(
            "examination_propensities: iterations must be a whole number of at least 1 and l2 a "
            f"number of at least 0. Received: {iterations!r} and {l2!r}"
        )
    pairs, positions, clicks = _checked(pairs, positions, clicks)
    if features is None:
        pairs = np.unique(pairs, return_inverse=True)[1]
        wanted: _Means | _Regression = _Means()
    else:
        wanted = _Regression(_checked_features(features, pairs), l2)
    cells = _Cells(pairs, positions - 1, clicks, None if features is None else len(features))
    if features is None and len(cells.pair) == len(np.unique(cells.pair)) and positions.max() > 1:
        raise InputError(
            "examination_propensities: each pair stands at one position only, so that the position "
            "and the wish cannot be told apart; give features, or a log that shows pairs at "
            "several. "
            f"Received: {len(cells.pair)} pairs"
        )
    theta = np.full(int(positions.max()), start)
    gamma = np.full(cells.n_pairs, 0.5)
    for _ in range(iterations):
        examined, relevant = cells.expected(theta, gamma)
        theta = cells.mean_of_positions(examined)
        gamma = wanted.fitted(cells, relevant)
    return theta / theta[0]


def inverse_propensity_weights(
    positions: np.ndarray, propensities: np.ndarray, clip: float = 10.0
) -> np.ndarray:
    """Returns the weights of clicks that make up for positions: `min(1 / theta_k, clip)`.

    As column `weight` of the events they weight the rows of a `Ranker`'s loss. Clipping bounds the
    variance, at the price of some bias (Joachims et al., WSDM 2017).

    Args:
      positions: `[n]` int, from 1; those beyond the table have the last one's propensity.
      propensities: `[positions]`, above 0, e.g. of `examination_propensities`.
      clip: largest weight.

    Returns:
      `[n] float64`.

    Raises:
      InputError: a position below 1, a propensity that is not above 0, or a `clip` below 1.

    Example:
      >>> inverse_propensity_weights(np.array([1, 2, 9]), np.array([1.0, 0.5, 0.05]))
      array([ 1.,  2., 10.])
    """
    positions = _whole("inverse_propensity_weights", "positions", positions)
    propensities = np.asarray(propensities, np.float64)
    if not clip >= 1:
        raise InputError(f"inverse_propensity_weights: clip must be at least 1. Received: {clip}")
    if (
        propensities.ndim != 1
        or not len(propensities)
        or not (np.isfinite(propensities) & (propensities > 0)).all()
    ):
        raise InputError(
            "inverse_propensity_weights: propensities must be a number above 0 for each position. "
            f"Received: {propensities}"
        )
    if (positions < 1).any():
        raise InputError(
            f"inverse_propensity_weights: positions begin with 1. Received: {positions.min()}"
        )
    theta = propensities[np.minimum(positions, len(propensities)) - 1]
    return np.minimum(1 / theta, clip)


def gain_labels(weights: np.ndarray) -> np.ndarray:
    """Returns labels `log2(1 + w)`, whose gain `2^l - 1` in a loss of lists is the weight w.

    For the sums of a document's weighted clicks, which `softmax` and `lambda_rank` then read as
    they read grades.

    Args:
      weights: finite, at least 0, of any shape.

    Raises:
      InputError: a weight is below 0 or not finite.

    Example:
      >>> gain_labels(np.array([0.0, 1.0, 3.0]))
      array([0., 1., 2.])
    """
    weights = np.asarray(weights, np.float64)
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if wrong.size:
        raise InputError(f"gain_labels: weights must be finite, at least 0. Received: {wrong[0]}")
    return np.log2(1 + weights)


class _Cells:
    """Rows of the same pair and position together: views `n` and clicks `c`, `[cells]` each."""

    def __init__(self, pairs, positions, clicks, n_pairs: int | None):
        depth = int(positions.max()) + 1
        keys, cell = np.unique(pairs.astype(np.int64) * depth + positions, return_inverse=True)
        self.pair, self.position = keys // depth, keys % depth
        self.views = np.bincount(cell).astype(np.float64)
        self.clicks = np.bincount(cell, clicks)
        self.n_pairs = int(self.pair.max()) + 1 if n_pairs is None else n_pairs
        self.views_of_pair = self.of_pairs(self.views)
        self._views_of_position = np.bincount(self.position, self.views)

    def of_pairs(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.pair, values, minlength=self.n_pairs)

    def mean_of_positions(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.position, values) / self._views_of_position

    def expected(self, theta: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected numbers `[cells]` of views that were examined, and that were wanted."""
        theta, gamma = theta[self.position], gamma[self.pair]
        missed = self.views - self.clicks
        either = np.maximum(1 - theta * gamma, 1e-12)
        examined = self.clicks + missed * theta * (1 - gamma) / either
        return examined, self.clicks + missed * gamma * (1 - theta) / either


class _Means:
    """A relevance of its own for each pair."""

    def fitted(self, cells: _Cells, relevant: np.ndarray) -> np.ndarray:
        return cells.of_pairs(relevant) / cells.views_of_pair


class _Regression:
    """Relevances by a logistic regression on features, one Newton step an iteration."""

    def __init__(self, features: np.ndarray, l2: float):
        spread = features.std(0)
        scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
        self._columns = np.concatenate([scaled, np.ones((len(scaled), 1))], 1)
        self._ridge = l2 * np.append(np.ones(scaled.shape[1]), 0)
        self._weights = np.zeros(self._columns.shape[1])

    def fitted(self, cells: _Cells, relevant: np.ndarray) -> np.ndarray:
        x, views, target = self._columns, cells.views_of_pair, cells.of_pairs(relevant)
        p = expit(x @ self._weights)
        gradient = x.T @ (views * p - target) + self._ridge * self._weights
        curvature = (x * (views * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ x
        curvature += np.diag(self._ridge + 1e-6)
        self._weights -= np.linalg.solve(curvature, gradient)
        return expit(x @ self._weights)


def _whole(function: str, name: str, values) -> np.ndarray:
    """Whole numbers as int64, of any numeric dtype.

    Raises:
      InputError: they are none.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iuf" or (values != np.floor(values)).any():
        raise InputError(
            f"{function}: {name} must be whole numbers. "
            f"Received: {values.ravel()[:3]} {values.dtype}"
        )
    return values.astype(np.int64)


def _checked(pairs, positions, clicks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    name = "examination_propensities"
    pairs, positions = _whole(name, "pairs", pairs), _whole(name, "positions", positions)
    clicks = np.asarray(clicks)
    shapes = [one.shape for one in (pairs, positions, clicks)]
    if any(shape != (pairs.size,) for shape in shapes):
        raise InputError(
            "examination_propensities: pairs, positions and clicks must be one-dimensional and of "
            f"equal length. Received: {', '.join(map(str, shapes))}"
        )
    clicks = clicks.astype(np.float64)
    wrong = clicks[(clicks != 0) & (clicks != 1)]
    if len(wrong) or not clicks.any():
        raise InputError(
            "examination_propensities: clicks must be 0 or 1, and some 1. "
            f"Received: {wrong[0] if len(wrong) else 'no clicks'}"
        )
    if positions.min() < 1:
        raise InputError(
            f"examination_propensities: positions begin with 1. Received: {positions.min()}"
        )
    if not clicks[positions == 1].any():
        raise InputError(
            "examination_propensities: the first position needs clicks, as all others are relative "
            "to it. Received: none there"
        )
    empty = np.flatnonzero(np.bincount(positions)[1:] == 0) + 1
    if len(empty):
        raise InputError(
            f"examination_propensities: each position up to the last needs rows; merge rare ones, "
            f"e.g. np.minimum(positions, 10). Received: none at {empty[0]}"
        )
    return pairs, positions, clicks


def _checked_features(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or pairs.min() < 0 or pairs.max() >= len(features):
        raise InputError(
            "examination_propensities: features must be [pairs, F], with a row for each pair. "
            f"Received: shape {features.shape} and pairs from {pairs.min()} to {pairs.max()}"
        )
    if not np.isfinite(features).all():
        raise InputError(
            "examination_propensities: features must be finite. "
            f"Received: {int((~np.isfinite(features)).sum())} numbers that are not"
        )
    return features
