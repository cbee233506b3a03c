"""Weighted sum of several losses."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.objectives.auxiliary_loss import AuxiliaryLoss
from tfrec_fusion.models.objectives.objective import Objective

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = ("softmax", "search")  # metrics of the models are softmax_loss and search_loss


@keras.utils.register_keras_serializable("tfrec_fusion")
class Joint(keras.losses.Loss):
    """Weighted sum of several losses of one model, each of which is logged as `<name>_loss`.

    `compile(loss={...}, loss_weights={...})` makes one. A term reads the fields of a batch that
    `joint_examples` marked with its name, or else the batch's own.

    Args:
      terms: name -> an `Objective` or an `AuxiliaryLoss`.
      weights: name -> weight of a term, by default 1.

    Raises:
      InputError: no term, another kind of loss, an invalid name or weight.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=8)
      >>> losses = {"ranking": "softmax", "pairs": "bpr"}
      >>> model.compile("adam", loss=losses, loss_weights={"pairs": 0.2})
      >>> history = model.fit(split.train.batches(512), verbose=0).history
      >>> total = history["ranking_loss"][0] + 0.2 * history["pairs_loss"][0]
      >>> bool(np.isclose(total, history["softmax_loss"][0]))  # `loss` has the L2 norm too
      True
    """

    def __init__(
        self,
        terms: Mapping[str, Objective | AuxiliaryLoss],
        weights: Mapping[str, float] | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        check_names(terms)
        for key, term in terms.items():
            if not isinstance(term, Objective | AuxiliaryLoss):
                raise InputError(
                    f"loss: {key!r}: must be an Objective or an AuxiliaryLoss. Received: {term!r}"
                )
        self.terms = dict(terms)
        given = {} if weights is None else weights
        self.weights = dict.fromkeys(terms, 1.0) | checked_weights(terms, given)
        if not any(self.weights.values()):
            raise InputError(
                f"loss_weights: one of {', '.join(terms)} must be above 0, or nothing is trained. "
                f"Received: {dict(given)}"
            )

    def total(self, losses: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the weighted sum of the terms' losses, a scalar float32."""
        return tf.add_n([self.weights[name] * losses[name] for name in self.terms])

    def call(self, y_true, y_pred):
        """Raises InputError: a term may need more than targets and scores."""
        raise InputError("loss: a joint loss is computed by a model that is compiled with it")

    def get_config(self):
        terms = {n: keras.saving.serialize_keras_object(t) for n, t in self.terms.items()}
        return {"terms": terms, "weights": self.weights, "name": self.name}

    @classmethod
    def from_config(cls, config):
        terms = {
            name: keras.saving.deserialize_keras_object(term)
            for name, term in config["terms"].items()
        }
        return cls(**{**config, "terms": terms})


class TermMeans:
    """The metrics of the terms: name -> mean over an epoch.

    Not a trackable object, so that a model's checkpoint does not depend on its loss.
    """

    def __init__(self, names):
        self.of = {name: keras.metrics.Mean(f"{name}_loss") for name in names}


def check_names(named: Mapping[str, Any], kind: str = "term", where: str = "loss: ") -> None:
    """Raises InputError if there are no terms (or heads), or if names cannot name metrics."""
    if not named:
        raise InputError(f"{where}at least one {kind} is needed. Received: {{}}")
    for name in named:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            raise InputError(
                f"{where}a {kind}'s name must be letters, digits and _, begin with a letter, and "
                f"not be {' or '.join(_TAKEN)}, whose metrics the models have; e.g. 'clicks'. "
                f"Received: {name!r}"
            )


def checked_weights(terms: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, float]:
    """Returns the given weights as numbers.

    Raises:
      InputError: a weight of no term, or one that is not a finite number of at least 0.
    """
    if not isinstance(weights, Mapping):
        raise InputError(
            f"loss_weights: must be a dict from names of terms to numbers. Received: {weights!r}"
        )
    for name, weight in weights.items():
        if name not in terms:
            raise InputError(
                f"loss_weights: the loss has no term {name!r}; its terms are {', '.join(terms)}"
            )
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise InputError(
                f"loss_weights: {name!r}: must be a finite number of at least 0. "
                f"Received: {weight!r}"
            )
    return {name: float(weight) for name, weight in weights.items()}
