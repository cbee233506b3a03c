"""The losses of a ranker's heads and their sum."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.heads.head import Head
from tfrec_fusion.models.objectives.catalogue import OBJECTIVES, find_loss
from tfrec_fusion.models.objectives.joint import Joint, TermMeans, checked_weights
from tfrec_fusion.models.objectives.objective import Objective


class HeadLosses:
    """The weighted sum of the losses of several heads, each a mean over its labelled examples.

    Not a trackable object, so that a model's checkpoint does not depend on its loss.

    Args:
      heads: name -> head.
      losses: name -> loss of labels and outputs, for all heads.
      weights: name -> weight of a loss in the sum; that of the head where it is left out.
      measures: name -> metrics of labels and `Head.measured`, weighted.

    Raises:
      InputError: a weight of no head or of another kind, or all weights are 0.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        losses: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        measures: Mapping[str, Sequence[keras.metrics.Metric]] | None = None,
    ):
        self._heads = heads
        self.of = {name: _loss_object(loss) for name, loss in losses.items()}
        self.weights = head_weights(heads, weights)
        self.means = TermMeans(heads)
        self.mean = keras.metrics.Mean("loss")
        self.measures = {
            name: [_renamed(metric, f"{name}_{metric.name}") for metric in metrics]
            for name, metrics in (measures or {}).items()
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """ "loss", of all that is minimised, and of each head "<name>_loss" and its metrics."""
        of_heads = [metric for metrics in self.measures.values() for metric in metrics]
        return [self.mean, *self.means.of.values(), *of_heads]

    def total(
        self,
        losses: Mapping[str, tuple[tf.Tensor, tf.Tensor]],
        log_variances: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the sum of `w_i L_i`, a scalar float32; w_i is a head's weight.

        With s = `log_variances`, one for each head, it is that of
        `w_i (c_i exp(-s_i) L_i + s_i / 2)` over heads with a label, where c_i is the head's
        `likelihood` (Kendall et al., CVPR 2018).

        Args:
          losses: what a call returned.
          log_variances: `[heads]` float32; None for fixed weights.
        """
        found = []
        for place, (name, (loss, count)) in enumerate(losses.items()):
            if log_variances is not None:
                own = log_variances[place]
                loss = self._heads[name].likelihood * tf.exp(-own) * loss
                loss += tf.where(count > 0, 0.5 * own, 0.0)
            found.append(self.weights[name] * loss)
        return tf.add_n(found)

    def __call__(
        self, batch: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor], compiled_metrics
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Returns name -> loss and number of labelled examples, and updates the metrics.

        Args:
          batch: the batch.
          outputs: name -> outputs of a head for it.
          compiled_metrics: Keras's container of the metrics given to `compile`.
        """
        found, measured, weights = {}, {}, {}
        for name, (value, true, flat, weights[name]) in self.values(batch, outputs).items():
            count = tf.cast(tf.shape(true)[0], tf.float32)
            self.means.of[name].update_state(value, count)
            found[name] = value, count
            measured[name] = true, measured_columns(self._heads[name], flat)
            for metric in self.measures.get(name, []):
                metric.update_state(*measured[name], sample_weight=weights[name])
        compiled_metrics.update_state(
            {name: true for name, (true, _) in measured.items()},
            {name: values for name, (_, values) in measured.items()},
            weights,
        )
        return found

    def losses(
        self, batch: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Returns what a call returns, and leaves the metrics as they are."""
        return {
            name: (value, tf.cast(tf.shape(true)[0], tf.float32))
            for name, (value, true, _, _) in self.values(batch, outputs).items()
        }

    def values(
        self, batch: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None]]:
        """Returns name -> loss, and the labels, outputs and weights that it is of."""
        found, known = {}, {}
        for name, head in self._heads.items():
            labels = head.labels(batch, None if head.given is None else known[head.given] <= 0)
            known[name], loss = labels, self.of[name]
            true, flat, weights = head.examples(batch, outputs[name], labels)
            if isinstance(loss, Objective):
                value = loss(*head.lists(batch, outputs[name], labels))
            else:
                value = _mean(loss.call(true, flat), weights)
            found[name] = value, true, flat, weights
        return found


def _renamed(metric: keras.metrics.Metric, name: str) -> keras.metrics.Metric:
    return type(metric).from_config(metric.get_config() | {"name": name})


def _mean(rows: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """The mean of `weight * loss` over examples, 0 without any."""
    rows = tf.cast(rows, tf.float32)
    rows = tf.reduce_mean(rows, range(1, len(rows.shape)))
    if weights is not None:
        rows *= tf.cast(weights, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(rows), tf.cast(tf.size(rows), tf.float32))


class _OfFunction(keras.losses.Loss):
    """A loss from a function of labels and outputs."""

    def __init__(self, function: Callable):
        super().__init__()
        self._function = function

    def call(self, y_true, y_pred):
        return self._function(y_true, y_pred)


def _loss_object(loss) -> keras.losses.Loss:
    found = keras.losses.get(loss)
    return found if isinstance(found, keras.losses.Loss) else _OfFunction(found)


def resolved_loss(loss, where: str = "loss"):
    """Resolves a loss as `find_loss` does, but returns the name of a Keras loss unchanged.

    Raises:
      InputError: it is unknown, several losses, or one of probabilities.
    """
    if isinstance(loss, Mapping | Joint):
        raise InputError(
            f"Ranker: compile: {where}: several losses train a TwoTower, an AlphaRec, or a Ranker "
            f"of several heads; pass one. Received: {type(loss).__name__}"
        )
    if isinstance(loss, str) and loss not in OBJECTIVES and ":" not in loss:
        try:
            keras.losses.get(loss)
        except ValueError:
            raise InputError(
                f"Ranker: compile: {where}: must be one of {', '.join(OBJECTIVES)}, a Keras loss, "
                f"or module:name of your own. Received: {loss!r}"
            ) from None
        found = loss
    else:
        found = find_loss("Ranker", loss)
    if _takes_probabilities(found):
        raise InputError(
            f"Ranker: compile: {where}: this loss is of probabilities, and heads give logits; pass "
            f"an object of its class with from_logits=True. Received: {loss!r}"
        )
    return found


def _takes_probabilities(loss: Any) -> bool:
    """Whether a loss of Keras reads probabilities, as its cross entropies do unless told."""
    found = keras.losses.get(loss)
    if isinstance(found, keras.losses.Loss):
        module = type(found).__module__
        if isinstance(found, Objective) or not module.startswith(keras.losses.Loss.__module__):
            return False
        return found.get_config().get("from_logits") is False
    if getattr(found, "__module__", None) != keras.losses.Loss.__module__:
        return False
    return "from_logits" in inspect.signature(found).parameters


def head_losses(
    heads: Mapping[str, Head], loss: Any
) -> tuple[dict[str, Any], dict[str, list[keras.metrics.Metric]]]:
    """Returns name -> loss, and name -> metrics that go with it.

    Args:
      heads: name -> head.
      loss: that of `compile`: of the only head, or name -> loss. Where it is left out, the loss is
        that of the head, or its default, with its default metrics.

    Raises:
      InputError: `loss` is not of these heads, or a loss is unknown.
    """
    given = {} if loss is None else loss
    if len(heads) == 1 and not (isinstance(given, Mapping) and given.keys() <= heads.keys()):
        (only,) = heads
        given = {only: given}
    if not isinstance(given, Mapping):
        raise InputError(
            f"Ranker: compile: loss: with several heads it must be a dict from some of "
            f"{', '.join(heads)} to losses. Received: {loss!r}"
        )
    _check_heads("loss", heads, given)
    losses, metrics = {}, {}
    for name, head in heads.items():
        chosen = head.loss if given.get(name) is None else given[name]
        where = "loss" if len(heads) == 1 else f"loss: {name!r}"
        losses[name] = head.default_loss() if chosen is None else resolved_loss(chosen, where)
        metrics[name] = head.default_metrics() if chosen is None else []
    return losses, metrics


def head_weights(heads: Mapping[str, Head], weights: Any = None) -> dict[str, float]:
    """Returns name -> weight of its loss, that of the head where it is left out.

    Args:
      heads: name -> head.
      weights: name -> weight; or a number, that of the only head.

    Raises:
      InputError: a weight of no head or of another kind, or all weights are 0.
    """
    if len(heads) == 1 and weights is not None and not isinstance(weights, Mapping):
        weights = dict.fromkeys(heads, weights)
    found = {name: head.weight for name, head in heads.items()}
    found |= checked_weights(heads, {} if weights is None else weights)
    if not any(found.values()):
        raise InputError(
            f"Ranker: compile: a head of {', '.join(heads)} needs a weight above 0, or nothing is "
            f"trained. Received: {found}"
        )
    return found


def check_metrics(heads: Mapping[str, Head], **metrics: Any) -> None:
    """Raises InputError for metrics of several heads that are not None or a dict by their names."""
    for what, given in metrics.items():
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise InputError(
                f"Ranker: compile: {what}: with several heads it must be a dict from some of "
                f"{', '.join(heads)} to metrics. Received: {given!r}"
            )
        _check_heads(what, heads, given)


def measured_columns(head: Head, outputs: tf.Tensor) -> tf.Tensor:
    """Returns what metrics compare with labels `[n, 1]`: `[n, 1 or more]`."""
    values = head.measured(outputs)
    return values[:, None] if len(values.shape) == 1 else values


def _check_heads(what: str, heads: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    unknown = [name for name in given if name not in heads]
    if unknown:
        raise InputError(
            f"Ranker: compile: {what}: must be of the heads {', '.join(heads)}. "
            f"Received: {unknown[0]!r}"
        )
