"""The tables of an export's search: words, vectors and the encoder of queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.embeddings import Encoder, make_encoder
from tfrec_fusion.embeddings.encoders.fitted import FittedEncoder
from tfrec_fusion.embeddings.term_table import TermTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.search_config import SearchConfig
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.lexical_index import LexicalIndex
from tfrec_fusion.models.serving.query_side import QuerySide, VectorQueries
from tfrec_fusion.models.serving.similar_items import SimilarVectors
from tfrec_fusion.retrieval.bm25 import BM25
from tfrec_fusion.retrieval.stored_items import StoredItems
from tfrec_fusion.retrieval.text_queries import TextQueries

if TYPE_CHECKING:
    from tfrec_fusion.embeddings import StaticEncoder

_TITLES = ("title", "name", "text")


class Search(tf.Module):
    """What a search ranks by, as variables and tables of an export.

    Args:
      config: the options.
      serving: the model's scoring graph.
      catalogue: the items, with the texts to be searched.
      folder: where files of words are written, which the export copies.
      precision: precision of the vectors and the weights.

    Attributes:
      config: the options.
      index: ranks by words; None for none.
      side: ranks by vectors; None for none.
      text: encodes queries as vectors; None for none.
      vectors: the items' vectors, if they are not the model's.
      titles: which columns are searched.

    Raises:
      InputError: a column or vectors that the catalogue lacks, an encoder that is no table of terms
        or has another number of dimensions, no text with a word, or nothing to rank by.
    """

    def __init__(
        self,
        config: SearchConfig,
        serving: CatalogueServing,
        catalogue: Catalogue,
        folder: Path,
        precision: str = "float32",
    ):
        super().__init__(name="search")
        self.config = config
        self.index: LexicalIndex | None = None
        self.text: TextQueries | None = None
        self.titles = config.texts or _title(catalogue)
        encodes = config.encoder is not None and config.vector_weight > 0
        encodes_items = encodes and config.vectors is None and serving.query_side is None
        if not self.titles and (config.lexical_weight or encodes_items):
            raise InputError(
                f"export: search: texts: the items have none of the columns {', '.join(_TITLES)}; "
                f"name those to be searched. Received: {list(catalogue.frame.columns)}"
            )
        texts = item_texts(catalogue, self.titles)
        if config.lexical_weight:
            bm25 = BM25(config.k1, config.b, config.least_similarity).fit(texts)
            self.index = LexicalIndex(bm25, folder, precision)
        encoder = _encoder(config, texts, encodes_items) if encodes else None
        # No module: the scoring graph that a query tower reads is saved already.
        self.side: QuerySide | None = None
        if encodes_items and encoder is not None:
            values = encoder.encode(texts)
            self.side = _compared(values, f"the texts' vectors ({encoder.name})", precision)
        elif config.vector_weight:
            self.side = _query_side(config, serving, catalogue, precision)
        side = self.side
        self.vectors = side.items if isinstance(side, VectorQueries) else None
        if encoder is not None and side is not None:
            table = _term_table(encoder, texts)
            if table.dims != side.dims:
                raise InputError(
                    f"export: search: the encoder gives vectors of {table.dims} dimensions, and "
                    f"{side.kind} has {side.dims}; pass the encoder of these vectors. "
                    f"Received: {config.encoder!r}"
                )
            self.text = TextQueries(table, folder, precision)
        if self.index is None and side is None:
            raise InputError(
                "export: search has nothing to rank by: leave lexical_weight above 0, or give "
                f"vectors. Received: {config!r}"
            )

    @property
    def reads_text(self) -> bool:
        """Whether requests may hold the text of a query."""
        return self.index is not None or self.text is not None


def item_texts(catalogue: Catalogue, columns: tuple[str, ...]) -> list[str]:
    """The texts `[N]` of the columns of each item, joined by spaces; lists are joined likewise.

    Raises:
      InputError: a column is missing or holds anything but texts and lists of them.
    """
    found = [_texts(catalogue, column) for column in columns]
    return [" ".join(filter(None, parts)) for parts in zip(*found, strict=True)]


def _texts(catalogue: Catalogue, column: str) -> list[str]:
    if column in catalogue.frame:
        values: list[Any] = catalogue.frame[column].tolist()
        if any(isinstance(value, list | tuple | np.ndarray) for value in values):
            lists = [[] if isinstance(v, float) or v is None else v for v in values]
            return [" ".join(map(str, one)) for one in lists]
    return catalogue.texts(column).tolist()


def _title(catalogue: Catalogue) -> tuple[str, ...]:
    return tuple(column for column in _TITLES if column in catalogue.frame)[:1]


def _query_side(
    config: SearchConfig, serving: CatalogueServing, catalogue: Catalogue, precision: str
) -> QuerySide | None:
    if config.vectors is None:
        return serving.query_side
    if config.vectors not in catalogue.vectors:
        raise InputError(
            f"export: search: vectors: the catalogue has no {config.vectors!r}. "
            f"It has: {sorted(catalogue.vectors)}"
        )
    store = catalogue.vectors[config.vectors]
    values = np.where(np.asarray(store.mask, bool)[:, None], store.values, 0).astype(np.float32)
    return _compared(values, f"vectors {config.vectors!r}", precision)


def _compared(values: np.ndarray, kind: str, precision: str) -> VectorQueries:
    return VectorQueries(SimilarVectors(StoredItems(values, precision), kind))


def _encoder(config: SearchConfig, texts: list[str], encodes_items: bool) -> Encoder:
    encoder = make_encoder(str(config.encoder))
    if not hasattr(encoder, "term_table"):
        raise InputError(
            "export: search: encoder must be 'ngrams', 'lexical', 'wordllama' or the folder of a "
            "fitted NGramEncoder or LexicalEncoder: no graph can run another one; requests may "
            f"give vectors instead. Received: {config.encoder!r}"
        )
    if isinstance(encoder, FittedEncoder) and not encoder.is_fitted:
        if not encodes_items:
            raise InputError(
                f"export: search: an encoder {encoder.name!r} that is fitted at the export is none "
                "of the vectors; save the fitted encoder of these, and pass its folder. Received: "
                f"{config.encoder!r}"
            )
        encoder.fit(texts)
    return encoder


def _term_table(encoder: Encoder, texts: list[str]) -> TermTable:
    if isinstance(encoder, FittedEncoder):
        return encoder.term_table()
    return cast("StaticEncoder", encoder).term_table(texts)


def search_semantics(search: Search | None) -> tuple[str, ...]:
    """The sentences about search, for the model card."""
    if search is None:
        return ()
    config, parts = search.config, []
    if search.index is not None:
        parts.append(f"the words of {', '.join(search.titles)} (BM25)")
    if search.side is not None:
        parts.append(search.side.kind)
    user = ""
    if config.user_weight:
        ranked = config.fusion == "ranks"
        user = (
            f" A user who is given adds {'the ranks by ' if ranked else ''}the model's scores of "
            'these items, and an unknown user those of a new one; "" adds nothing.'
        )
    added = f"weight / ({config.rank_constant:g} + rank) over the rankings it is among"
    if config.fusion == "scores":
        added = "weight * score over the rankings"
    return (
        f"Search ranks by {' and '.join(parts)}: the best {config.candidates} of each, or k if it "
        f"is more. An item's score is the sum of {added}.{user} Items of the history are found "
        "too, blocked ones are not; boosts, pins and caps do not apply.",
        "Words are compared in lower case, without accents and apostrophes; one that no item has "
        "is replaced by those of the most similar letters, and ignored if there is none.",
    )


def search_entries(search: Search | None) -> Mapping[str, Any]:
    """The model card's entries "search" and "query_dims"; none without a search."""
    if search is None:
        return {}
    dims = 0 if search.side is None else search.side.dims
    return {"search": search.config.model_dump(mode="json"), "query_dims": dims}
