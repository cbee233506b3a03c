"""Weights with fingerprints of the items, users and features that they belong to."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tfrec_fusion._compat import tf, tfrs
from tfrec_fusion.errors import InputError


class SignedWeights(tfrs.Model):
    """A model with a `spec`, whose weights contain fingerprints of the data they were trained on.

    A subclass calls `sign` after setting its `spec`. `load_weights` raises InputError for weights
    of other data. `check_weights` detects weights loaded in another way, e.g. by
    `tf.train.Checkpoint`.
    """

    def sign(self, reads_user_ids: bool) -> None:
        """Adds fingerprints `[3, 8]` int32 of items, users (0 if not read) and features."""
        features = self.spec.model_dump(mode="json", exclude={"items", "users", "n_users"})
        parts = {
            "items": self.spec.items,
            "users": self.spec.users if reads_user_ids else None,
            "features": json.dumps(features, sort_keys=True),
        }
        self._own_fingerprints = {
            name: np.zeros(8, np.int32)
            if text is None
            else np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)
            for name, text in parts.items()
        }
        values = np.stack(list(self._own_fingerprints.values()))
        self.fingerprints = self.add_weight(
            "fingerprints",
            values.shape,
            tf.int32,
            initializer=lambda shape, dtype=None: tf.constant(values, dtype),
            trainable=False,
        )

    def check_weights(self) -> None:
        """Raises InputError if the weights belong to other items, users or features."""
        pairs = zip(self._own_fingerprints.items(), self.fingerprints.numpy(), strict=True)
        other = [name for (name, mine), theirs in pairs if (mine != theirs).any()]
        if other:
            raise InputError(
                f"{type(self).__name__}: the weights were trained with other {' and '.join(other)} "
                "(or in another order) than the model was built for, so rows would belong to other "
                "ids; build the model from the data of these weights. "
                f"Received: {len(self.weights)} weights"
            )

    def load_weights(self, filepath, *args, **options):
        """Loads weights as Keras does; checks that they belong to the same data.

        Raises:
          InputError: the weights belong to other items, users or features; the model keeps its old
            weights.
        """
        before = self.get_weights()
        status = super().load_weights(filepath, *args, **options)
        try:
            self.check_weights()
        except InputError:
            self.set_weights(before)
            raise
        return status
