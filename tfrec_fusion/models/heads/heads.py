"""The heads of a ranker together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tfrec_fusion._compat import tf
from tfrec_fusion.models.heads.binary_head import BinaryHead
from tfrec_fusion.models.heads.head import LABEL, Head
from tfrec_fusion.signature import Tensor


class Heads(Mapping[str, Head]):
    """The heads of a ranker by name: their outputs, the score they rank by, and their answers.

    Not a layer, so that a model's weights do not depend on it.

    Args:
      heads: name -> head, in order.
      rank_by: the name of a head, or name -> weight of predictions; None is the first head.
      named: whether answers have each head's prediction under its name.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        rank_by: str | Mapping[str, float] | None = None,
        named: bool = True,
    ):
        self._heads = dict(heads)
        self._rank_by = next(iter(self._heads)) if rank_by is None else rank_by
        self._named = named

    def __getitem__(self, name: str) -> Head:
        return self._heads[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)

    def outputs(
        self, representations: Sequence[tf.Tensor], items: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns name -> outputs, in the shape of `items` and with an axis more for several units.

        Args:
          representations: of each head, `[B, N, columns]`.
          items: item rows, of any shape with B * N elements.
        """
        found = {}
        for (name, head), representation in zip(self.items(), representations, strict=True):
            units = [] if head.units == 1 else [head.units]
            outputs = tf.reshape(head(representation), tf.concat([tf.shape(items), units], 0))
            found[name] = head.joined(outputs, found)
        return found

    def score(self, outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the scores to rank by, in the shape of the items."""
        chosen = self._rank_by
        if isinstance(chosen, str):
            return self[chosen].score(outputs[chosen])
        return tf.add_n(
            [weight * self[name].value(outputs[name]) for name, weight in chosen.items()]
        )

    @property
    def score_is_logit(self) -> bool:
        """Whether the score is the logit of the events' own label."""
        chosen = self._rank_by
        if not isinstance(chosen, str):
            return False
        return isinstance(self[chosen], BinaryHead) and self[chosen].field == LABEL

    def answers(self, outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns name -> tensor, as `described`."""
        found = {"score": self.score(outputs)}
        taken = self.taken
        if taken is not None:
            found["probability"] = self[taken].prediction(outputs[taken])
        if self._named:
            found |= {name: head.prediction(outputs[name]) for name, head in self.items()}
        return found

    @property
    def described(self) -> tuple[Tensor, ...]:
        """The answers of an export, for B users and N items."""
        found, taken = [Tensor("score", "float32", "[B, N]", self._meaning)], self.taken
        if taken is not None:
            meaning = "the probability that the user takes the item"
            if self._named:
                meaning = f"the same as {taken}"
            found.append(Tensor("probability", "float32", "[B, N]", meaning))
        if self._named:
            found += [
                Tensor(name, "float32", head.shape, head.meaning) for name, head in self.items()
            ]
        return tuple(found)

    @property
    def taken(self) -> str | None:
        """The head whose prediction is "probability": the one to rank by, or the first binary."""
        binary = [name for name, head in self.items() if isinstance(head, BinaryHead)]
        if self._rank_by in binary:
            return str(self._rank_by)
        return binary[0] if binary else None

    @property
    def _meaning(self) -> str:
        chosen = self._rank_by
        if not isinstance(chosen, str):
            terms = " + ".join(f"{weight:g} {name}" for name, weight in chosen.items())
            return f"the weighted sum {terms}, of expected values"
        if isinstance(self[chosen], BinaryHead):
            return f"the logit of {chosen}" if self._named else "the logit"
        return f"the prediction {chosen} as one number"
