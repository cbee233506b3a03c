"""Weights of the logits of several models, by a logistic regression."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


def fit_logit_weights(
    logits: np.ndarray,
    labels: np.ndarray,
    row_weights: np.ndarray | None = None,
    l2: float = 0.0,
) -> tuple[np.ndarray, float]:
    """Fits non-negative weights w and a bias b of a logistic regression over logits.

    It minimises the mean cross entropy of sigmoid(b + sum_m w_m logit_m), plus
    `l2 / 2 sum_m (w_m - 1 / M)^2`, which draws them to the mean of the logits.

    Args:
      logits: `[n, M]` float of M models.
      labels: `[n]` float in [0, 1].
      row_weights: `[n]` float of 0 or more; None weighs all rows equally.
      l2: strength of the pull to the mean.

    Returns:
      Weights `[M]` float64 and the bias.

    Example:
      >>> # One in two is taken where the model says 0, three in four where it says 1.
      >>> logits = np.array([0, 0, 1, 1, 1, 1.0])
      >>> weights, bias = fit_logit_weights(logits[:, None], np.array([0, 1, 0, 1, 1, 1.0]))
      >>> weights.round(3), abs(round(bias, 3))  # log 3 and 0
      (array([1.099]), 0.0)
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    share = np.ones(len(labels)) if row_weights is None else np.asarray(row_weights, np.float64)
    share = share / share.sum()
    mean = np.full(logits.shape[1], 1 / logits.shape[1])

    def loss(values):
        weights, bias = values[:-1], values[-1]
        found = bias + logits @ weights
        entropy = share @ (np.logaddexp(0, found) - labels * found)
        apart = weights - mean
        slope = share * (expit(found) - labels)
        gradient = np.append(slope @ logits + l2 * apart, slope.sum())
        return entropy + l2 / 2 * (apart @ apart), gradient

    bounds = [(0.0, None)] * len(mean) + [(None, None)]
    options = {"ftol": 1e-12, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(
        loss, np.append(mean, 0.0), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return found.x[:-1], float(found.x[-1])
