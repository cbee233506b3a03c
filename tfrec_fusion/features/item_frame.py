"""The columns of items that declared features read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tfrec_fusion.data import Catalogue
from tfrec_fusion.data.table_vectors import arrays_of
from tfrec_fusion.errors import InputError
from tfrec_fusion.features.kinds.feature import Feature
from tfrec_fusion.features.kinds.semantic_id import SemanticId


def item_frame(catalogue: Catalogue, features: Iterable[Feature]) -> pd.DataFrame:
    """Returns the frame of all items, with the vectors that features read as columns of arrays.

    Such a column replaces one of texts with the same name.

    Raises:
      InputError: the catalogue lacks vectors that a feature reads.
    """
    names = [one.column for one in features if isinstance(one, SemanticId)]
    for name in names:
        if name not in catalogue.vectors:
            raise InputError(
                f"items: the feature semantic_id reads vectors {name!r}, which the catalogue "
                "lacks; pass them as vectors= to Catalogue, or leave the feature out. "
                f"Received: {list(catalogue.vectors)}"
            )
    rows = np.arange(len(catalogue))
    found = {name: arrays_of(catalogue.vectors[name], rows) for name in names}
    return catalogue.frame.assign(**found) if found else catalogue.frame
