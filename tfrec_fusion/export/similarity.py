"""What an export's similar items are compared by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.models.serving.catalogue_serving import CatalogueServing
from tfrec_fusion.models.serving.similar_items import SimilarItems, SimilarVectors
from tfrec_fusion.retrieval.stored_items import StoredItems

AUTO, NONE = "auto", "none"


def similarity(
    option: str,
    serving: CatalogueServing,
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]],
    catalogue: Catalogue,
    precision: str,
) -> SimilarItems | None:
    """Returns the similarity of items of an export; None for no such signature.

    Args:
      option: "auto" for the model's own, if it has one: its item vectors or its item-item weights;
        "none"; or the name of a vector store of the model or the catalogue. Its vectors are
        centred, as raw text vectors share a strong common direction.
      serving: the model's scoring graph.
      tables: the frozen vectors that the model reads.
      catalogue: of the exported events.
      precision: precision of the vectors of a store.

    Raises:
      InputError: neither the model nor the catalogue has vectors of that name.
    """
    if option == NONE:
        return None
    if option == AUTO:
        stores = [name for name in (*tables, *catalogue.vectors)]
        return serving.similar_items(
            lambda: _of_store(stores[0], tables, catalogue, precision) if stores else None
        )
    return _of_store(option, tables, catalogue, precision)


def _of_store(name: str, tables: Mapping, catalogue: Catalogue, precision: str) -> SimilarVectors:
    if name in tables:
        values, mask = tables[name]
    elif name in catalogue.vectors:
        store = catalogue.vectors[name]
        values, mask = store.values, store.mask
    else:
        known = sorted({*tables, *catalogue.vectors})
        raise InputError(
            f"export: similar must be {AUTO!r}, {NONE!r} or the name of vectors of the items, one "
            f"of {known}. Received: {name!r}"
        )
    values, mask = np.asarray(values, np.float32), np.asarray(mask, bool)
    centred = values - values[mask].mean(0) if mask.any() else values
    centred = np.where(mask[:, None], centred, 0).astype(np.float32)
    return SimilarVectors(StoredItems(centred, precision), f"vectors {name!r}")
