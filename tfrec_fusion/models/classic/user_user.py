"""Scores from the most similar users of the training."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from tfrec_fusion.models.classic.neighbours import strongest
from tfrec_fusion.models.classic.scores import Scores, histories
from tfrec_fusion.models.serving.user_user_serving import SAME, UserUserServing

_BLOCK = 1024  # users per block


class UserUser(Scores):
    """Scores a candidate by the similarities of the `k` nearest training users who took it.

    The similarity of histories x and y is `sum_i w_i x_i y_i / (|x|_w |y|_w + shrinkage)` with
    `|x|_w^2 = sum_i w_i x_i`.

    Args:
      taken: `[n_users, n_items]` sparse, what training users took.
      item_weights: `[n_items]`, the weights w.
      k: number of neighbours.
      shrinkage: 0 or more.
      skips_known: whether training users who took nothing but items of the history are left out:
        they add to no other item.
      lent: `[n_users, n_items]` sparse, what a training user adds to the score of each item; None
        for `taken`.
    """

    def __init__(
        self,
        taken: scipy.sparse.csr_array,
        item_weights: np.ndarray,
        k: int,
        shrinkage: float = 0.0,
        skips_known: bool = True,
        lent: scipy.sparse.csr_array | None = None,
    ):
        self.taken = scipy.sparse.csr_array(taken, dtype=np.float32)
        self.lent = self.taken if lent is None else scipy.sparse.csr_array(lent, dtype=np.float32)
        self.item_weights = np.asarray(item_weights, np.float32)
        self.k, self.shrinkage, self.skips_known = int(k), float(shrinkage), bool(skips_known)

    @property
    def count(self) -> int:
        return self.taken.shape[1]

    def scorer(self, state):
        weights, takers = self.item_weights, self.taken.T.tocsr()
        squares = np.asarray(self.taken @ weights, np.float32)

        def score(users: np.ndarray) -> np.ndarray:
            rows = histories(state.matrix, users)
            found = []
            for start in range(0, len(users), _BLOCK):
                weighted = rows[start : start + _BLOCK] @ scipy.sparse.diags_array(weights)
                shared = (weighted.tocsr() @ takers).toarray()
                own = np.sqrt(np.asarray(weighted.sum(1), np.float32).reshape(-1, 1))
                length = own * np.sqrt(squares) + np.float32(self.shrinkage)
                similar = shared / np.where(length > 0, length, np.float32(1))
                if self.skips_known:
                    similar[shared >= SAME * squares] = 0.0
                found.append((strongest(similar, self.k) @ self.lent).toarray())
            return np.concatenate(found) if found else np.zeros((0, self.count), np.float32)

        return score

    def serving(self, state, precision):
        return UserUserServing(
            self.taken,
            self.lent,
            self.item_weights,
            self.k,
            self.shrinkage,
            self.skips_known,
            precision,
        )

    def mixed(self, mixing):
        lent = self.lent @ mixing.T
        numbers = (self.k, self.shrinkage, self.skips_known)
        return UserUser(self.taken, self.item_weights, *numbers, lent.tocsr())

    def arrays(self):
        arrays = {"item_weights": self.item_weights, "shape": np.array(self.taken.shape)}
        numbers = {"k": self.k, "shrinkage": self.shrinkage, "skips_known": self.skips_known}
        arrays |= {name: np.array(value) for name, value in numbers.items()}
        for name in ("taken",) if self.lent is self.taken else ("taken", "lent"):
            matrix = getattr(self, name)
            parts = {part: getattr(matrix, part) for part in ("data", "indices", "indptr")}
            arrays |= {f"{name}_{part}": values for part, values in parts.items()}
        return arrays

    @classmethod
    def of_arrays(cls, arrays):
        shape = tuple(arrays["shape"])

        def matrix(name):
            if f"{name}_data" not in arrays:
                return None
            parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
            return scipy.sparse.csr_array(parts, shape)

        numbers = (arrays[name].item() for name in ("k", "shrinkage", "skips_known"))
        return cls(matrix("taken"), arrays["item_weights"], *numbers, lent=matrix("lent"))
