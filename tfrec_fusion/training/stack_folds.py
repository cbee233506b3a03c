"""Out-of-fold examples for the head of a `Stack`, and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.pipelines.blended_spec import blended_spec
from tfrec_fusion.pipelines.stack_config import StackConfig
from tfrec_fusion.pipelines.stack_head import separate_logits, stack_head
from tfrec_fusion.pipelines.stack_inputs import StackInputs

_MOST_BYTES = 2**28  # of the inputs of a fold
_BATCH = 64


@dataclass(frozen=True)
class StackFold:
    """What a head reads of the candidates of users, and which of them are targets.

    Attributes:
      inputs: `[U, C, n_inputs]` float32.
      targets: `[U, C]` bool, at least one a user.
    """

    inputs: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(
        cls, members: Mapping[str, Model], part: Split, config: StackConfig, seed: int = 0
    ) -> StackFold:
        """Reads the candidates of the evaluated users of a split; of many users a sample.

        Users without a target among the candidates are left out.

        Args:
          members: models that know only the training events of the split.
          part: the split.
          config: options of the stack.
          seed: of the sample.
        """
        users, targets = part.targets()
        numbers = tuple(blended_spec(members).numbers)
        inputs = StackInputs(config, members, numbers, State.of(part.train))
        candidates = min(config.candidates, len(part.train.catalogue))
        most = max(1, _MOST_BYTES // (4 * candidates * inputs.graph.width(len(members))))
        if len(users) > most:
            kept = np.sort(np.random.default_rng(seed).choice(len(users), most, replace=False))
            users, targets = users[kept], targets.take(kept)
        read, hits = [], []
        for start in range(0, len(users), _BATCH):
            found = inputs(users[start : start + _BATCH])
            count = len(found.recommendable)
            wanted = targets.take(np.arange(start, start + count))
            is_target = np.zeros(found.recommendable.shape, bool)
            is_target[np.repeat(np.arange(count), wanted.lengths), wanted.items] = True
            hit = np.take_along_axis(is_target, found.rows.numpy(), 1)
            read.append(found.inputs.numpy()[hit.any(1)])
            hits.append(hit[hit.any(1)])
        if not sum(map(len, hits)):
            raise InputError(
                "Stack: no held-out item is among the candidates of its user; take more events or "
                f"candidates. Received: {len(users)} users"
            )
        return cls(np.concatenate(read), np.concatenate(hits))


def fit_head(
    folds: Sequence[StackFold],
    config: StackConfig,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> keras.Model:
    """Trains a head on folds by a softmax over the candidates of each user.

    The loss of a user is the mean over the targets of `logsumexp_c(s_c) - s_target`, of the logits
    of each network of the head: none learns what the others leave to it.

    Args:
      folds: at least one.
      config: options of the stack.
      epochs: passes over the users of all folds.
      learning_rate: of Adam, at the start; it falls to 0 along a half cosine.
      seed: of the weights, the dropout and the order of the users.
    """
    inputs = np.concatenate([fold.inputs for fold in folds])
    targets = np.concatenate([fold.targets for fold in folds]).astype(np.float32)
    targets /= targets.sum(1, keepdims=True)
    keras.utils.set_random_seed(seed)
    head = stack_head(inputs.shape[-1], config.hidden, config.dropout, config.networks)
    head.get_layer("standardise").fit(inputs.reshape(-1, inputs.shape[-1]))
    steps = epochs * -(-len(inputs) // _BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    trained = separate_logits(head, config.networks)
    trained.compile(keras.optimizers.Adam(schedule), [loss] * config.networks)
    every = [targets] * config.networks
    trained.fit(inputs, every, batch_size=_BATCH, epochs=epochs, verbose=0)
    return head
