"""LightGCN, vectors propagated over the graph of users and items."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.cold_options import ColdOptions
from tfrec_fusion.models.classic.propagated_vectors import PropagatedVectors
from tfrec_fusion.progress import WorkProgress

_BATCH = 4096
_TRIES = 10  # draws of a negative that is not among the user's items


class LightGCNConfig(ColdOptions):
    """Options of `LightGCN`, in addition to `ColdOptions`.

    Attributes:
      dim: length of the vectors.
      layers: number of propagation steps.
      epochs: passes over the training events.
      batch_size: events per step, each of which propagates over the whole graph; None for a tenth
        of the events, at least 4,096.
      learning_rate: of Adam.
      l2: regularisation of the vectors of a batch before propagation, 0 or more.
      seed: of initial vectors, order and negatives.
    """

    dim: PositiveInt = 64
    layers: PositiveInt = 2
    epochs: PositiveInt = 150
    batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat = 0.01
    l2: float = Field(1e-3, ge=0, allow_inf_nan=False)
    seed: NonNegativeInt = 0


class LightGCN(ClassicModel):
    """LightGCN: user and item vectors, averaged over linear propagation steps on their graph.

    Layer k + 1 of a user is `sum_(i of u) e_i^k / sqrt(n_u n_i)`, of an item likewise; a score is
    the dot product of the means over layers 0 to K (He et al. 2020,
    https://arxiv.org/abs/2002.02126). It is trained by Adam with the loss of Bayesian personalised
    ranking, `-log sigmoid(score of an item - score of an item that the user did not take)`, with
    uniform negatives.

    Scoring needs no user ids, in exports too: a user's vector is one propagation step from the
    history, `sum_(i of u) (e_i^0 + ... + e_i^(K-1)) / ((K + 1) sqrt(n_u n_i))`. For the training
    histories this is the trained vector without its layer 0, and requested, newer and unknown
    users' histories get theirs the same way.

    Args:
      **options: see `LightGCNConfig`.

    Raises:
      InputError: an invalid option, or the training diverges.

    Example:
      >>> model = LightGCN(dim=8, epochs=2).fit(split.train)
      >>> model.scorer(tff.features.State.of(split.train))(np.array([0, 1])).shape
      (2, 30)
    """

    Config = LightGCNConfig

    def fitted(self, train) -> PropagatedVectors:
        matrix = scipy.sparse.csr_array(train.matrix())
        n_items = matrix.shape[1]
        graph = _Graph(matrix, self.config.layers)
        start = self._trained(matrix, graph)
        _, items = graph.layers(start[:-n_items], start[-n_items:])
        vectors = tf.add_n(items) / len(items)
        passed = tf.add_n(items[:-1]) / len(items) * graph.item_norms[:, None]
        return PropagatedVectors(vectors.numpy(), passed.numpy())

    def _trained(self, matrix: scipy.sparse.csr_array, graph: _Graph) -> tf.Tensor:
        """Returns the vectors of layer 0, users then items: `[n_users + n_items, dim]`."""
        config, (n_users, n_items) = self.config, matrix.shape
        rng = np.random.default_rng(config.seed)
        limit = (6 / (n_users + n_items + config.dim)) ** 0.5  # Glorot and Bengio 2010
        start = tf.Variable(
            rng.uniform(-limit, limit, (n_users + n_items, config.dim)).astype(np.float32)
        )
        adam = keras.optimizers.legacy.Adam(config.learning_rate)

        @tf.function(reduce_retracing=True)
        def step(user, item, negative):
            with tf.GradientTape() as tape:
                users, items = start[:n_users], start[n_users:]
                layers = graph.layers(users, items)
                of_user, of_item = (tf.add_n(one) / len(one) for one in layers)
                of_user = tf.gather(of_user, user)
                better = tf.gather(of_item, item) - tf.gather(of_item, negative)
                loss = tf.reduce_mean(tf.nn.softplus(-tf.reduce_sum(of_user * better, 1)))
                rows = (tf.gather(users, user), tf.gather(items, item), tf.gather(items, negative))
                norms = tf.add_n([tf.nn.l2_loss(one) for one in rows])
                norms /= tf.cast(tf.size(user), tf.float32)
                total = loss + config.l2 * norms
            adam.apply_gradients([(tape.gradient(total, start), start)])
            return loss

        user = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(matrix.indptr))
        item = matrix.indices.astype(np.int32)
        negatives = _Negatives(user, item, n_items)
        size = config.batch_size or max(_BATCH, len(user) // 10)
        with WorkProgress("LightGCN:", config.epochs, "epochs", tell_end=False) as progress:
            for _ in range(config.epochs):
                order = rng.permutation(len(user))
                negative = negatives.drawn(rng)
                loss = 0.0
                for begin in range(0, len(order), size):
                    batch = order[begin : begin + size]
                    loss = step(*(tf.constant(one[batch]) for one in (user, item, negative)))
                if not np.isfinite(float(loss)):
                    raise InputError(
                        "LightGCN: the loss is not finite, so the training diverged; lower "
                        f"learning_rate. Received: {config.learning_rate}"
                    )
                progress.advance(state=f"loss {float(loss):.3f}")
        return tf.convert_to_tensor(start)


class _Graph:
    """Propagation over the events, each divided by the roots of both sides' numbers of events."""

    def __init__(self, matrix: scipy.sparse.csr_array, layers: int):
        users, items = np.diff(matrix.indptr), np.bincount(matrix.indices, None, matrix.shape[1])
        user_norms, item_norms = (np.maximum(n, 1.0) ** -0.5 for n in (users, items))
        both = (scipy.sparse.diags_array(user_norms) @ matrix) @ scipy.sparse.diags_array(
            item_norms
        )
        self.to_user, self.to_item = _tensor(both), _tensor(both.T)
        self.item_norms, self._layers = item_norms.astype(np.float32), layers

    def layers(self, users, items) -> tuple[list, list]:
        """Returns the layers from 0 on of users and of items."""
        of_users, of_items = [users], [items]
        for _ in range(self._layers):
            users, items = (
                tf.sparse.sparse_dense_matmul(self.to_user, items),
                tf.sparse.sparse_dense_matmul(self.to_item, users),
            )
            of_users.append(users)
            of_items.append(items)
        return of_users, of_items


def _tensor(matrix) -> tf.SparseTensor:
    coo = scipy.sparse.csr_array(matrix).tocoo()
    pairs = np.stack([coo.row, coo.col], 1).astype(np.int64)
    return tf.SparseTensor(pairs, coo.data.astype(np.float32), coo.shape)


class _Negatives:
    """Uniform items that the user of an event did not take."""

    def __init__(self, user: np.ndarray, item: np.ndarray, n_items: int):
        self._user, self._n_items = user.astype(np.int64), n_items
        self._taken = np.sort(self._user * n_items + item)

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Returns `[events]` int32; of a user who took almost everything they may be taken too."""
        found = rng.integers(0, self._n_items, len(self._user))
        left = np.arange(len(found))
        for _ in range(_TRIES):
            keys = self._user[left] * self._n_items + found[left]
            place = np.minimum(np.searchsorted(self._taken, keys), len(self._taken) - 1)
            left = left[self._taken[place] == keys]
            if not len(left):
                break
            found[left] = rng.integers(0, self._n_items, len(left))
        return found.astype(np.int32)
