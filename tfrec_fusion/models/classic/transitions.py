"""First-order transitions between items."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion.data import Interactions

_BACK = np.float32(0.5)  # weight of transitions in the other direction


def transitions(train: Interactions) -> scipy.sparse.csr_matrix:
    """Returns `M + M' / 2`, `[n_items, n_items]` float32 from item to next item.

    `M_ij` is the share of item j in what users take next after item i.
    """
    histories, size = train.histories(), len(train.catalogue)
    follows = histories.steps[:-1] > 0
    before, after = histories.items[:-1][follows], histories.items[1:][follows]
    ones = np.ones(len(before), np.float32)
    counts = scipy.sparse.csr_matrix((ones, (before, after)), (size, size))
    totals = np.maximum(np.asarray(counts.sum(1), np.float32).ravel(), 1)
    shares = scipy.sparse.diags_array(1 / totals) @ counts
    return scipy.sparse.csr_matrix(shares + _BACK * shares.T, dtype=np.float32)
