"""Builds the module that an export saves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from tfrec_fusion.export.merging import Merging
from tfrec_fusion.export.search import Search
from tfrec_fusion.export.search_config import SearchConfig
from tfrec_fusion.export.served_model import ServedModel
from tfrec_fusion.export.served_ranker import ServedRanker
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES, RANKER_SIGNATURES
from tfrec_fusion.export.signatures.base import ServedSignature
from tfrec_fusion.export.similarity import NONE, similarity
from tfrec_fusion.features.state import State
from tfrec_fusion.models.model import Model
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.row_serving import RowServing
from tfrec_fusion.models.serving.similar_items import SimilarItems
from tfrec_fusion.rerank.business import Business
from tfrec_fusion.rerank.reranking import Reranking


@dataclasses.dataclass(frozen=True)
class Build:
    """Builds the module that an export saves, once for each precision.

    Attributes:
      model, state: the model, and what it sees.
      business: filters and rules.
      explain: whether scores are split into shares.
      merging: how small concurrent requests are batched; None runs each alone.
      signatures: signature classes of the caller's own.
      reranking: rerankers of the lists.
      similar, audience, search: see `export`.
    """

    model: Model
    state: State
    business: Business
    explain: bool
    merging: Merging | None
    signatures: tuple[type[ServedSignature], ...]
    reranking: Reranking | None
    similar: str = NONE
    audience: bool = False
    search: SearchConfig | None = None

    def serving(self, precision: str) -> CatalogueServing | RowServing:
        """The model's scoring graph."""
        options = {"explain": True} if self.explain else {}
        return self.model.serving(self.state, precision, **options)

    def served(
        self, serving: CatalogueServing | RowServing, users: Path, items: Path, precision: str
    ) -> ServedModel | ServedRanker:
        """The module of a scoring graph; `users` and `items` are files with one id a line."""
        histories = self.state.aged_histories()
        if serving.events is not None:
            rows = serving.events.histories.events
            histories = dataclasses.replace(histories, events=rows)
        if isinstance(serving, RowServing):
            own = [*RANKER_SIGNATURES, *self.signatures]
            if self.state.has_steps:  # rankers are trained without ages of positions
                ages = np.zeros(len(histories.items), np.float32)
                histories = dataclasses.replace(histories, times=ages)
            return ServedRanker(serving, histories, users, items, precision, own)
        if self.reranking is not None:
            self.reranking.fit(self.business.catalogue, self.state)
        search = None
        if self.search is not None:
            catalogue = self.business.catalogue
            search = Search(self.search, serving, catalogue, users.parent, precision)
        return ServedModel(
            serving,
            histories,
            users,
            items,
            self.business.attributes,
            self.business.compiled,
            precision,
            self.merging,
            [*CATALOGUE_SIGNATURES, *self.signatures],
            self.reranking,
            self.state.events.repeats,
            self.state.has_steps,
            self._similar(serving, precision),
            self.audience,
            search,
        )

    def _similar(self, serving: CatalogueServing, precision: str) -> SimilarItems | None:
        tables, catalogue = self.model.vector_tables(), self.state.catalogue
        return similarity(self.similar, serving, tables, catalogue, precision)
