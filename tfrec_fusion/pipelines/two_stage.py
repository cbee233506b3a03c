"""Retrieval and ranking as one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from tfrec_fusion.features.state import State
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.model import Model
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.pipelines.composition import Composition, described
from tfrec_fusion.pipelines.two_stage_config import TwoStageConfig
from tfrec_fusion.pipelines.two_stage_scorer import TwoStageScorer
from tfrec_fusion.pipelines.two_stage_serving import TwoStageServing

RETRIEVAL, RANKER = "retrieval", "ranker"


class TwoStage(Composition):
    """A retrieval model proposes candidates, and a ranker orders them.

    The candidates of a user are the best items of the retrieval model, without the history. Their
    scores are the ranker's logits, from the same history, item features and context, to which
    `retrieval_weight` adds the retrieval model's scores. All other items follow in the order of the
    retrieval model, 1 to 11 below the lowest of these scores.

    It is evaluated, saved, exported and served as other models that rank the catalogue. In an
    export, the candidates of a request are the best of the items that it allows: exclusions, lists
    to choose from, filters and blocks apply before the ranker. Boosts, pins and caps apply to its
    scores.

    A good retrieval model knows what a ranker does not, so a `retrieval_weight` above 0, chosen on
    validation, is often better than the ranker's order alone.

    Args:
      retrieval: fitted model that ranks the catalogue, deep, classic or a composition.
      ranker: trained model that scores given items, a `Ranker`, of the same catalogue.
      candidates, retrieval_weight: see `TwoStageConfig`.

    Raises:
      InputError: a part is no fitted model of its kind, the parts do not belong together, or an
        option is invalid.

    Example:
      >>> from tfrec_fusion.models import Ranker
      >>> from tfrec_fusion.models.classic import EASE
      >>> retrieval = EASE().fit(split.train)
      >>> ranker = Ranker(split.train, dim=8)  # train it on ranking_examples
      >>> feed = TwoStage(retrieval, ranker, candidates=10)
      >>> tff.evaluation.evaluate(feed, split).name
      'Ranker over EASE'
    """

    kind = "two_stage"
    rankers = (RANKER,)
    explains = False

    def __init__(self, retrieval: Model, ranker: Model, **options):
        super().__init__({RETRIEVAL: retrieval, RANKER: ranker})
        options |= {"members": described(self.members)}
        self.config = checked("TwoStage", TwoStageConfig, options)

    @classmethod
    def _of(cls, members: Mapping[str, Model], **options) -> Self:
        return cls(**members, **options)

    @property
    def retrieval(self) -> Model:
        """The model that proposes candidates."""
        return self.members[RETRIEVAL]

    @property
    def ranker(self) -> Model:
        """The model that orders them."""
        return self.members[RANKER]

    @property
    def name(self) -> str:
        """The model's name in tables."""
        return f"{type(self.ranker).__name__} over {type(self.retrieval).__name__}"

    def scorer(self, state: State) -> TwoStageScorer:
        """Returns a function: user rows `[B]`, -1 unknown -> scores `[B, n_items]` float32."""
        self.check(state.events)
        ranker = self._ranking(state, "float32")
        return TwoStageScorer(self.retrieval.scorer(state), ranker, state, self.config)

    def serving(self, state: State, precision: str = "float32") -> TwoStageServing:
        """Returns the scoring graph to export, with the tables of both stored in `precision`."""
        self.check(state.events)
        retrieval = {RETRIEVAL: self.retrieval.serving(state, precision)}
        ranker, masks = self._ranking(state, precision), self.spec.repeats == "first"
        return TwoStageServing(retrieval, ranker, state.seen, masks, self.config)

    def _ranking(self, state: State, precision: str) -> RowServing:
        serving = self.ranker.serving(state, precision)
        assert isinstance(serving, RowServing)  # of a model that does not rank the catalogue
        return serving
