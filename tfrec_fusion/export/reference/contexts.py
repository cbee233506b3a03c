"""The values of declared context features in training, for the reference."""

from __future__ import annotations

import numpy as np

from tfrec_fusion.data import Interactions
from tfrec_fusion.features.context import TABLE, context_frame
from tfrec_fusion.features.kinds.category import Category
from tfrec_fusion.features.kinds.number import Number
from tfrec_fusion.features.kinds.values import category_texts, real_numbers
from tfrec_fusion.models.serving.request_features import RequestFeatures


def context_values(requested: RequestFeatures | None, events: Interactions) -> dict:
    """Returns input of a request -> values `[n]` of events: float64, or texts with "" for missing.

    Only of categories and numbers; times differ from those of training by nature.

    Args:
      requested: the features that requests may give.
      events: all events before the export.
    """
    if requested is None or requested.context is None:
        return {}
    encoder, frame, found = requested.context.encoder, context_frame(events), {}
    inputs_of: dict[str, list[str]] = {}
    for name, column in encoder.names.items():
        inputs_of.setdefault(column, []).append(name)
    for one in encoder.side.features:
        names = inputs_of.get(one.column, [])
        if len(names) != 1 or one.column not in frame:
            continue
        if isinstance(one, Category):
            texts = category_texts(frame, one.column, TABLE)
            found[names[0]] = np.array(["" if text is None else text for text in texts], object)
        elif isinstance(one, Number):
            found[names[0]] = real_numbers(frame, one.column, TABLE)
    return found
