"""The options of an export's search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from tfrec_fusion.errors import InputError

RANKINGS = ("lexical", "vector", "user")


class SearchConfig(BaseModel):
    """How the signature `search` ranks; an unknown key or an invalid value raises an error.

    Up to three rankings are fused: that of the words (`BM25`), that of the vectors, and, for a user
    who is given, that of the user's recommendations among the best items of the other two. A
    ranking of weight 0 is left out, and the export does not store it. `choose_search_weights`
    chooses the fusion and the weights.

    Attributes:
      texts: item columns whose joined texts are searched; None for the title, or else the name or
        the text.
      vectors: the vectors that those of queries are compared with by their cosine: a name of the
        catalogue's vectors. None for the query tower of a `SearchModel`; for other models, for the
        vectors of an encoder that is fitted at the export, or none.
      encoder: encodes queries inside the graph: the folder of a fitted `NGramEncoder` or
        `LexicalEncoder`, or "wordllama". It must be that of the vectors, or of the queries in
        training. None if requests give the vectors. "ngrams" and "lexical" are fitted on the items'
        texts at the export, which then have vectors by it.
      k1, b, least_similarity: see `BM25`.
      fusion: "ranks" adds weight / (rank_constant + rank) of an item over the rankings it is in
        (reciprocal rank fusion); "scores" adds weight * score over all rankings: of BM25, the
        cosine or the product with the query tower's vector, and the model's score for the user.
      lexical_weight, vector_weight, user_weight: weights of the rankings. The defaults are for
        ranks.
      candidates: items of a ranking that take part; at least `k` do.
      rank_constant: see `fusion`.

    Example:
      >>> SearchConfig.of({"texts": ["title"], "user_weight": 0}).candidates
      100
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    texts: tuple[str, ...] | None = Field(default=None, min_length=1)
    vectors: str | None = None
    encoder: str | None = None
    k1: NonNegativeFloat = 1.2
    b: float = Field(default=0.75, ge=0, le=1)
    least_similarity: PositiveFloat = 0.5
    fusion: Literal["ranks", "scores"] = "ranks"
    lexical_weight: NonNegativeFloat = 1.0
    vector_weight: NonNegativeFloat = 1.0
    user_weight: NonNegativeFloat = 0.5
    candidates: PositiveInt = 100
    rank_constant: NonNegativeFloat = 60.0

    @property
    def weights(self) -> dict[str, float]:
        """The weights by ranking: "lexical", "vector" and "user"."""
        return {name: getattr(self, f"{name}_weight") for name in RANKINGS}

    @classmethod
    def of(cls, options: SearchConfig | Mapping | bool | None) -> SearchConfig | None:
        """The config of `export(search=...)`: True is the defaults, None or False no search.

        Raises:
          InputError: an unknown key, an invalid value, or another type.
        """
        if options is None or isinstance(options, cls):
            return options
        if isinstance(options, bool):
            return cls() if options else None
        if not isinstance(options, Mapping):
            raise InputError(
                "export: search must be True, False or options, e.g. {'texts': ['title']}. "
                f"Received: {options!r}"
            )
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                f"export: search: {where}: {first['msg']}. Received: {first['input']!r}"
            ) from None
