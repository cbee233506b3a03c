"""Several rankers as one: a weighted sum of their logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, cast

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.made_from import check_made_from
from tfrec_fusion.features.state import State
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.pipelines.composition import Composition, described
from tfrec_fusion.pipelines.ensemble_serving import EnsembleServing
from tfrec_fusion.pipelines.logit_weights import fit_logit_weights
from tfrec_fusion.pipelines.ranker_ensemble_config import RankerEnsembleConfig

_SIDES = ("user_side", "context_side", "event_side")


class RankerEnsemble(Composition):
    """A ranker whose logit is the weighted sum of the logits of its members.

    With weights w and a bias b, the logit of an item is `b + sum_m w_m logit_m`; by default the
    mean. The mean of logits is the geometric mean of odds, a probability again. Rankers of one kind
    that differ by their seeds are a deep ensemble (Lakshminarayanan et al., NeurIPS 2017); those of
    different backbones or features differ more. `stacked` fits the weights on validation examples.

    An ensemble is a model as its members are: it scores the items that a request names, is
    evaluated by `evaluate_ranker`, saved, exported and served as one graph, and may teach a smaller
    ranker (`tfrec_fusion.examples.distillation_examples`).

    Args:
      members: name -> trained model that scores given items, a `Ranker`. All are built from the
        same events; each may leave out features of users, contexts or past events, but none
        declares others.
      weights: name -> weight of 0 or more; by default 1 / M each of M members.
      bias: what is added to the sum.

    Raises:
      InputError: a member is no trained ranker, or ranks by something else than the logit of the
        events' `label`; members do not belong together; or an option is invalid.

    Example:
      >>> from tfrec_fusion.models import Ranker
      >>> members = {name: Ranker(split.train, dim=8) for name in ("a", "b")}  # train them
      >>> ensemble = RankerEnsemble(members, weights={"a": 0.7, "b": 0.3})
      >>> tff.evaluation.evaluate_ranker(ensemble, split).name
      'ensemble of a, b'
    """

    kind = "ranker_ensemble"
    ranks_catalogue = False
    explains = False
    score_is_logit = True

    def __init__(
        self,
        members: Mapping[str, Model],
        *,
        weights: Mapping[str, float] | None = None,
        bias: float = 0.0,
    ):
        super().__init__(members)
        _check_logits(self.members)
        sides = {side: _shared(self.members, side) for side in _SIDES}
        _shared(self.members, "feature_names")
        _shared(self.members, "numbers")
        self.spec = self.spec.model_copy(update=sides)
        mean = dict.fromkeys(members, 1 / len(members))
        options = {"weights": mean if weights is None else weights, "bias": bias}
        options["members"] = described(self.members)
        self.config = checked("RankerEnsemble", RankerEnsembleConfig, options)

    @classmethod
    def stacked(
        cls,
        members: Mapping[str, Model],
        batches: Iterable[Mapping[str, tf.Tensor]],
        l2: float = 1e-3,
    ) -> Self:
        """Makes an ensemble with weights of 0 or more and a bias fitted on validation examples.

        They are those of a logistic regression over the members' logits, see `fit_logit_weights`.
        The members must not have been trained on these examples, or the one that remembers best
        gets all the weight.

        Args:
          members: as of the class.
          batches: finite batches of `ranking_examples` with labels in [0, 1].
          l2: strength of the pull to the mean.

        Raises:
          InputError: as of the class, or the batches are none, of another catalogue, empty or
            without labels of 0 and 1.
        """
        ensemble = cls(members)
        if not isinstance(batches, Iterable):
            raise InputError(
                "RankerEnsemble: stacked: batches must be those of ranking_examples(validation). "
                f"Received: {type(batches).__name__}"
            )
        check_made_from("RankerEnsemble: stacked", batches, ensemble)
        score = tf.function(ensemble.member_logits, reduce_retracing=True)
        logits, labels, weights = [], [], []
        for batch in batches:
            if not isinstance(batch, Mapping) or "label" not in batch:
                received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
                raise InputError(
                    "RankerEnsemble: stacked: the batches have no 'label'; pass those of "
                    f"ranking_examples(validation). Received: {received}"
                )
            logits.append(tf.reshape(score(batch), [len(members), -1]).numpy().T)
            labels.append(np.ravel(batch["label"]))
            rows = np.ravel(batch.get("weight", np.ones(len(batch["user"]))))
            weights.append(np.repeat(rows, len(labels[-1]) // max(len(rows), 1)))
        label = np.concatenate(labels) if labels else np.zeros(0)
        if not (len(label) and 0 <= label.min() < label.max() <= 1):
            received = f"{label.min():g} to {label.max():g}" if len(label) else "no examples"
            raise InputError(
                "RankerEnsemble: stacked: the batches need labels of 0 and 1, some of each; pass "
                f"impressions, or sample negatives. Received: {received}"
            )
        fitted, bias = fit_logit_weights(np.concatenate(logits), label, np.concatenate(weights), l2)
        if not fitted.any():
            raise InputError(
                "RankerEnsemble: stacked: no member orders these examples better than chance; "
                "check the members and the examples. Received: weights of 0"
            )
        return cls(members, weights=dict(zip(members, fitted.tolist(), strict=True)), bias=bias)

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"ensemble of {', '.join(self.members)}"

    @property
    def reads_history(self) -> bool:
        """Whether a member's score depends on the user's history."""
        return any(getattr(member, "reads_history", True) for member in self.members.values())

    def __call__(self, batch: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Computes logits float32 of a batch of `ranking_examples`, in the shape of its `item`.

        Members are not trained here, so `training` must be false.
        """
        weights = tf.constant([self.config.weights[name] for name in self.members], tf.float32)
        return tf.tensordot(weights, self.member_logits(batch), 1) + self.config.bias

    def member_logits(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Computes the logits `[M, ...]` float32 of all members."""
        found = [cast(Any, one)(batch, training=False) for one in self.members.values()]
        return tf.stack([tf.cast(one, tf.float32) for one in found])

    def scorer(self, state: State) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function: user rows `[B]` -> logits `[B, n_items]` float32."""
        return _Scorer(self.config, self.member_scorers(state))

    def serving(self, state: State, precision: str = "float32") -> EnsembleServing:
        """Returns the scoring graph to export, with the members' tables stored in `precision`."""
        members = cast(dict[str, RowServing], self.member_servings(state, precision))
        return EnsembleServing(self.config, members, self.spec, state)


class _Scorer:
    """A function from user rows to the weighted sums of the members' logits."""

    def __init__(self, config: RankerEnsembleConfig, scorers: Mapping[str, Callable]):
        self._config, self._scorers = config, scorers
        most = [getattr(one, "most_users", 0) for one in scorers.values()]
        self.most_users = min((one for one in most if one), default=1)

    def __call__(self, users: np.ndarray) -> np.ndarray:
        weights = self._config.weights
        found = sum(weights[name] * one(users) for name, one in self._scorers.items())
        return np.asarray(found + self._config.bias, np.float32)


def _check_logits(members: Mapping[str, Model]) -> None:
    for name, member in members.items():
        if not (callable(member) and getattr(member, "score_is_logit", True)):
            raise InputError(
                f"RankerEnsemble: members: {name!r} must score batches by the logit of the events' "
                "label; the first of its heads, or the one that it ranks by, is of another kind. "
                f"Received: {type(member).__name__}"
            )


def _shared(members: Mapping[str, Model], field: str) -> Any:
    """What all members that have some read alike: a side of features, or columns of items."""
    found = {name: getattr(member.spec, field) for name, member in members.items()}
    read = {name: value for name, value in found.items() if value is not None}
    first = next(iter(read.values()), None)
    others = [name for name, value in read.items() if value != first]
    if others:
        raise InputError(
            f"RankerEnsemble: members must read the same {field.replace('_', ' ')}, or none; "
            "build them from the same events with the same declared features. "
            f"Received: others of {others[0]!r} than of {next(iter(read))!r}"
        )
    return first
