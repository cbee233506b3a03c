"""The options of an export's search."""

from __future__ import annotations

from collections.abc import Mapping

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


class SearchConfig(BaseModel):
    """How the signature `search` ranks; an unknown key or an invalid value raises an error.

    Up to three rankings are fused by reciprocal ranks: that of the words (`BM25`), that of the
    vectors, and, for a user who is given, that of the user's recommendations among the best items
    of the other two. A ranking of weight 0 is left out, and the export does not store it.

    Attributes:
      texts: item columns whose joined texts are searched; None for the title, or else the name or
        the text.
      vectors: the vectors that those of queries are compared with by their cosine: a name of the
        catalogue's vectors. None for the query tower of a `SearchModel`; for other models, none.
      encoder: encodes queries inside the graph: the folder of a fitted `LexicalEncoder`, or
        "wordllama". It must be that of the vectors, or of the queries in training. None if requests
        give the vectors.
      k1, b, least_similarity: see `BM25`.
      lexical_weight, vector_weight, user_weight: weights of the rankings.
      candidates: items of a ranking that take part; at least `k` do.
      rank_constant: c in the gain `weight / (c + rank)` of an item.

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
    lexical_weight: NonNegativeFloat = 1.0
    vector_weight: NonNegativeFloat = 1.0
    user_weight: NonNegativeFloat = 0.5
    candidates: PositiveInt = 100
    rank_constant: NonNegativeFloat = 60.0

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
